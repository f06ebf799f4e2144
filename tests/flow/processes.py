"""A target whose containers are processes of this machine, and code to run in them."""

import asyncio
import hashlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aweigh.errors import ImageGoneError, TargetError
from aweigh.flow.target import LogLine, Task
from aweigh.settings import environment


@dataclass(slots=True)
class Copies:
    """Code as "images": a copy of the directory for each content it ever had."""

    source: Path
    copies: Path
    command: tuple[str, ...]
    builds: int = 0

    async def task(self) -> Task:
        """Copy what the directory holds now."""
        self.builds += 1
        digest = hashlib.sha256()
        for path in sorted(self.source.rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
        image = self.copies / digest.hexdigest()[:16]
        if not image.exists():
            shutil.copytree(self.source, image)
        return Task(name="copy", image=str(image), reference=None, command=self.command)

    async def heal(self, error: ImageGoneError) -> Task:
        """Copy it once more."""
        del error
        return await self.task()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass(slots=True)
class Process:
    """A process as an instance."""

    name: str
    address: tuple[str, int]
    process: asyncio.subprocess.Process
    reading: list[asyncio.Task[None]]

    async def wait(self) -> int:
        """Wait until it ends and everything it wrote was heard."""
        code = await self.process.wait()
        await asyncio.gather(*self.reading)
        return 128 - code if code < 0 else code

    async def stop(self, *, grace: float = 10.0) -> None:
        """End it and its children."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM if grace else signal.SIGKILL)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), grace or 5.0)
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.wait()


@dataclass(slots=True)
class ProcessTarget:
    """Starts commands in the directory that the "image" is; counts what it holds."""

    name: str = "processes"
    pulls: bool = False
    gone: int = 0
    hasty: bool = False
    started: list[Process] = field(default_factory=list)

    @property
    def alive(self) -> list[str]:
        """Names of what still runs."""
        return [one.name for one in self.started if one.process.returncode is None]

    async def run(self, task: Task, on_log: Callable[[LogLine], None]) -> int:
        """Run to the end."""
        instance = await self.start(task, on_log, port=free_port())
        return await instance.wait()

    async def start(
        self, task: Task, on_log: Callable[[LogLine], None], *, port: int
    ) -> Process:
        """Start it on a free port: all "containers" share this machine's."""
        del port
        if self.gone:
            self.gone -= 1
            raise ImageGoneError("it was deleted", hint="again", target=self.name)
        own = free_port()
        try:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable if each == "python" else each
                    for each in task.command
                ),
                cwd=task.image,
                env={**environment(), **task.env, "PORT": str(own)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError(str(error), hint="?", target=self.name) from error
        reading = asyncio.ensure_future(_read(process, on_log))
        instance = Process(
            name=task.name,
            address=("127.0.0.1", own),
            process=process,
            reading=[reading],
        )
        self.started.append(instance)
        if self.hasty and len(self.started) > 1:
            code = await instance.wait()
            raise TargetError(f"ended with {code}", hint="look", target=self.name)
        return instance


async def _read(
    process: asyncio.subprocess.Process, on_log: Callable[[LogLine], None]
) -> None:
    if process.stdout is None:
        raise AssertionError
    async for line in process.stdout:
        on_log(LogLine(text=os.fsdecode(line).rstrip("\n"), stream="stdout"))
