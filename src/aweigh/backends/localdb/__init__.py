"""What is remembered on disk: one SQLite file, which may be damaged or locked.

`open_localdb` gives a `LocalDB`, which implements `aweigh.memory.Memory`. A fault of
the database is a miss and a warning, never an error and never a wrong answer.
"""

from aweigh.backends.localdb.database import LocalDB, Stats, open_localdb
from aweigh.backends.localdb.rows import RowInfo

__all__ = ["LocalDB", "RowInfo", "Stats", "open_localdb"]
