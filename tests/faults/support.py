"""Starting the programs of these tests, and looking at what they left behind."""

import asyncio
import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aweigh.backends.localdb import open_localdb
from aweigh.events import silent
from aweigh.memory import Table

PROGRAMS = Path(__file__).with_name("programs.py")
# Coverage's tracer changes how an interrupted or killed interpreter ends.
UNMEASURED = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")

Said = dict[str, Any]


class Program:
    """A running program whose lines can be waited for."""

    def __init__(self, environ: Mapping[str, str], *argv: str) -> None:
        clean = {key: environ[key] for key in environ if key not in UNMEASURED}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS), *argv],
            env=clean,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[Said] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_lines),
            threading.Thread(target=self._read_errors),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def go(self) -> None:
        """Send it the line that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait_for(self, kind: str, *, timeout: float = 30.0) -> Said:
        """Return the next thing of this kind that it says."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, f"it ended without {kind}: {self._errors}"
            said: Said = json.loads(line)
            self.said.append(said)
            if said["kind"] == kind:
                return said

    def finish(self, *, timeout: float = 30.0) -> int:
        """Wait for its end; return its exit code."""
        code = self.process.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        while (line := self._lines.get()) is not None:
            self.said.append(json.loads(line))
        self._lines.put(None)
        return code

    @property
    def errors(self) -> str:
        """What it wrote to stderr, once it has ended."""
        return "".join(self._errors)

    def of(self, kind: str) -> list[Said]:
        """Return what it said of one kind, once it has ended."""
        return [said for said in self.said if said["kind"] == kind]

    def close(self) -> None:
        """End it if it still runs, and close its pipes."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self._errors.extend(self.process.stderr)


@contextmanager
def programs(
    count: int, environ: Mapping[str, str], *argv: str
) -> Iterator[list[Program]]:
    """Run some programs with the same arguments; none is left running."""
    running: list[Program] = []
    try:
        for _ in range(count):
            running.append(Program(environ, *argv))  # noqa: PERF401 - close those begun
        yield running
    finally:
        for program in running:
            program.close()


@contextmanager
def program(environ: Mapping[str, str], *argv: str) -> Iterator[Program]:
    """Run one program; it is not left running."""
    with programs(1, environ, *argv) as (one,):
        yield one


def long_nap() -> str:
    """Return a command that takes hours and that no other test runs."""
    return f"sleep {10**6 + uuid.uuid4().int % 10**9}"


def running_commands(command: str) -> list[str]:
    """Return the ids of running processes with this command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").strip()
        except OSError:
            continue
        if line == command.encode():
            found.append(entry.parent.name)
    return found


def wait_until_running(command: str, *, timeout: float = 30.0) -> None:
    """Wait until a build step runs this command."""
    deadline = time.monotonic() + timeout
    while not running_commands(command):
        assert time.monotonic() < deadline, f"{command} was never started"
        time.sleep(0.02)


def wait_until_ended(command: str, *, timeout: float = 5.0) -> float:
    """Wait until nothing runs this command; return the seconds that took."""
    began = time.monotonic()
    while running_commands(command):
        assert time.monotonic() - began < timeout, f"{command} still runs"
        time.sleep(0.02)
    return time.monotonic() - began


def remembered(cache: Path, table: Table) -> int:
    """How many rows of a kind a cache directory has."""

    async def count() -> int:
        async with open_localdb(cache, listener=silent) as db:
            return len(await db.rows(table))

    return asyncio.run(count())


def files_below(directory: Path) -> set[str]:
    """Return the names of all files below a directory, relative to it."""
    return {
        os.path.relpath(os.path.join(folder, name), directory)  # noqa: PTH118
        for folder, _, names in os.walk(directory)
        for name in names
    }
