"""The job: counts the letters of each word in a task of its own."""

import sys

import ray
from letters import count


@ray.remote
def letters_of(word: str) -> int:
    """Run on any node: each has the bundle."""
    return count(word)


if __name__ == "__main__":
    ray.init()
    print("letters:", ray.get([letters_of.remote(word) for word in sys.argv[1:]]))
