"""The code that the flows bring into a container: counts to a number."""

import sys

import humanize

print(f"counted to {humanize.intcomma(sum(1 for _ in range(int(sys.argv[1]))))}")
