"""`python -m aweigh` is `aweigh`."""

import sys

from aweigh.cli import main

sys.exit(main())
