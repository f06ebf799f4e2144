"""Doubles of what the engine's backend is given, and of engines that misbehave."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp

from aweigh.archive.member import Member
from aweigh.events import Event
from aweigh.image.credential import Credential
from aweigh.oci import Descriptor, Digest, Platform, Reference
from aweigh.oci.manifest import DOCKER_MANIFEST, OCI_MANIFEST

VERSION = b'{"ApiVersion": "1.41", "Version": "20.10", "Os": "linux", "Arch": "amd64"}'
E = TypeVar("E", bound=Event)
Answer = Callable[[str, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Heard:
    """A listener that keeps the events."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event, /) -> None:
        """Keep an event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


@dataclass(frozen=True)
class Credentials:
    """A credential source with fixed credentials."""

    known: dict[str, Credential] = field(default_factory=dict)

    async def credential(self, registry: str, /) -> Credential | None:
        """Return the credential of a registry."""
        return self.known.get(registry)


@dataclass(frozen=True)
class Heads:
    """Asks real registries over plain HTTP what a reference points at."""

    async def head_manifest(self, reference: Reference, /) -> Descriptor | None:
        """HEAD a manifest."""
        url = (
            f"http://{reference.registry}/v2/{reference.repository}"
            f"/manifests/{reference.target}"
        )
        accept = {"Accept": f"{OCI_MANIFEST}, {DOCKER_MANIFEST}"}
        async with (
            aiohttp.ClientSession() as session,
            session.head(url, headers=accept) as response,
        ):
            if response.status != 200:
                return None
            return Descriptor(
                media_type=response.headers["Content-Type"],
                digest=Digest.parse(response.headers["Docker-Content-Digest"]),
                size=int(response.headers["Content-Length"]),
            )


@dataclass(frozen=True)
class FixedHead:
    """Answers every HEAD with the same descriptor."""

    descriptor: Descriptor | None

    async def head_manifest(self, _reference: Reference, /) -> Descriptor | None:
        """Return the descriptor."""
        return self.descriptor


@dataclass(frozen=True)
class Files:
    """A snapshot as far as a builder looks at it."""

    members: tuple[Member, ...] = ()


@dataclass(frozen=True)
class Text:
    """A renderer with a fixed template of the lines after FROM."""

    lines: str

    def __call__(
        self,
        _spec: object,
        _snapshot: object,
        /,
        *,
        base: Reference | str,
        installer: str,
        platform: Platform,
        labels: Mapping[str, str],
        layers: object,
        lock: object,
        done: object,
    ) -> str:
        """Return the Dockerfile."""
        assert layers is None
        assert lock is None
        assert not done
        assert platform.os == "linux"
        assert not labels
        return f"FROM {base}\n{self.lines}\n".replace("INSTALLER", installer)


async def read_request(reader: asyncio.StreamReader) -> str:
    """Read a request up to a body of unknown length and return its first line."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    if length is not None:
        await reader.readexactly(int(length[1]))
    return head.split(b"\r\n", 1)[0].decode()


def response(
    body: bytes, status: str = "200 OK", kind: str = "application/json"
) -> bytes:
    """Return a whole HTTP answer."""
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def engine_double(
    path: Path, answer: Answer, version: bytes = VERSION
) -> AsyncIterator[str]:
    """Listen at a socket: the version is told, the rest is the test's."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await read_request(reader)
            if line.split()[1].endswith("/version"):
                writer.write(response(version))
            else:
                await answer(line, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix://{path}"
    finally:
        server.close()


def running(word: str) -> bool:
    """Tell whether a process on this machine has a word among its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False


async def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Wait until a condition holds and return how long that took."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while not await asyncio.to_thread(condition):
        assert loop.time() - started < seconds, "it never happened"
        await asyncio.sleep(0.02)
    return loop.time() - started


def chunks(*pieces: bytes) -> bytes:
    """Return the head of a chunked answer, and its first chunks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    head += b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)


END = b"0\r\n\r\n"


def unique_seconds() -> str:
    """Return a long time that no other process sleeps for."""
    return f"{10**6 + uuid.uuid4().int % 10**7}.5"


def resident() -> int:
    """Return the memory this process holds now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
