"""`python -m aweigh` is `aweigh`."""

import sys

from aweigh.cli.main import main

sys.exit(main())
