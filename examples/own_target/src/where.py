"""Says where it runs."""

import sys
from pathlib import Path

here = Path.cwd()
print("in a container" if here == Path("/app") else "on this machine", *sys.argv[1:])
print("where.py is here:", (here / "where.py").is_file(), file=sys.stderr)
sys.exit(3)
