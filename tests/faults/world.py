"""What the random histories share: a clock, a loop, and a database that can be lost."""

import asyncio
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from aweigh.backends.localdb import LocalDB, open_localdb
from aweigh.events import Warned
from aweigh.memory import Table
from aweigh.testing.doubles import FakeClock, RecordingListener

T = TypeVar("T")

# Rows up to a minute ahead of the clock are read: clocks of one machine differ little.
FRESH, TTL, SKEW = 60.0, 600.0, 60.0


@dataclass(frozen=True, slots=True)
class Row:
    """What the library may know of a name: what was confirmed last, and when."""

    digest: str
    at: float

    def is_fresh(self, now: float) -> bool:
        """Whether it may be an answer without a question."""
        return 0 <= now - self.at <= FRESH

    def is_usable(self, now: float) -> bool:
        """Whether it may be one when nobody answers; a row from the future is one."""
        return now - self.at <= TTL


class World(RuleBasedStateMachine):
    """What both machines share: a clock, a loop, and a database that can be lost."""

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a place: the disk's patience is not the subject.
        place = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="aweigh-truth-", dir=place))
        self.root = self.folder / "root"
        self.root.mkdir()
        self.cache = self.folder / "cache"
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.heard = RecordingListener()
        self.databases: list[Any] = []
        self.rows: dict[str, Row] = {}
        self.db = self.opened()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the machine's own loop."""
        return self.loop.run_until_complete(work)

    def opened(self) -> LocalDB:
        """Open the database; whatever was open stays so, as after a crash."""
        context = open_localdb(
            self.cache, listener=self.heard, clock=self.clock, prune_probability=0.1
        )
        self.databases.append(context)
        return self.run(context.__aenter__())

    def wire(self) -> None:
        """Make what a new process makes."""
        raise NotImplementedError

    def could_not_ask(self, since: int) -> bool:
        """Whether a warning since then says that an answer is not verified."""
        return any(
            isinstance(event, Warned)
            and (
                "could not be verified" in event.message
                or "cannot ask" in event.message
            )
            for event in self.heard.events[since:]
        )

    def refute(self, name: str) -> None:
        """Its holder said that it is gone: a row that could be read is dropped."""
        row = self.rows.get(name)
        if row is not None and -SKEW <= self.clock.now - row.at <= TTL:
            del self.rows[name]

    @initialize()
    def begin(self) -> None:
        """Start the first process."""
        self.wire()

    @rule()
    def crash(self) -> None:
        """The process is gone without closing anything; another one starts."""
        self.db = self.opened()
        self.wire()

    @rule(table=st.sampled_from(tuple(Table)), plausible=st.booleans())
    def damage(self, table: Table, plausible: bool) -> None:  # noqa: FBT001
        """Somebody writes into the database, and a new process finds that."""
        path = self.cache / "aweigh-v1.db"
        if not path.exists():
            return
        with closing(sqlite3.connect(path, timeout=5)) as connection, connection:
            for key, value in connection.execute(
                f"SELECT key, value FROM {table}"  # noqa: S608 - an enum
            ).fetchall():
                other = (
                    re.sub(rb'("digest": ?"sha256:)..', rb"\g<1>00", value)
                    if plausible
                    else value[::-1]
                )
                connection.execute(
                    f"UPDATE {table} SET value = ? WHERE key = ?",  # noqa: S608
                    (other, key),
                )
        self.crash()

    @rule(name=st.sampled_from(("a.py", "b.py")), text=st.sampled_from("123"))
    def edit(self, name: str, text: str) -> None:
        """Somebody edits a file; the size never tells."""
        (self.root / name).write_text(text)

    @rule(name=st.sampled_from(("b.py", "c.py")))
    def remove(self, name: str) -> None:
        """Somebody deletes a file."""
        (self.root / name).unlink(missing_ok=True)

    def content(self) -> tuple[tuple[str, str], ...]:
        """Return the files as they are."""
        return tuple(
            sorted((path.name, path.read_text()) for path in self.root.iterdir())
        )

    def teardown(self) -> None:
        """Close everything; a database that was damaged closes as well."""
        for context in self.databases:
            self.run(context.__aexit__(None, None, None))
        self.run(self.loop.shutdown_asyncgens())
        self.run(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)
