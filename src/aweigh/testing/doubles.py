"""In-memory collaborators, for tests of code that embeds aweigh."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from aweigh.image.build import Built
from aweigh.image.files import take_snapshot
from aweigh.image.make import ImageTools, uncut
from aweigh.image.obtain import ImageObtainer
from aweigh.oci import Digest, Index, Manifest, describe, parse_manifest
from aweigh.oci.descriptor import Descriptor
from aweigh.oci.manifest import OCI_CONFIG, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aweigh.events import Event
    from aweigh.image.build import BuildRequest
    from aweigh.image.checker import Checker, Verdict
    from aweigh.image.image import Location
    from aweigh.image.make import TakeSnapshot
    from aweigh.image.segments import Prefix
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Record, Table
    from aweigh.oci import Platform, Reference

__all__ = [
    "DictManifests",
    "DictMemory",
    "FakeBuilder",
    "FakeClock",
    "FakeToolBox",
    "RecordingListener",
    "ScriptedChecker",
]

E = TypeVar("E", bound="Event")


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        """Begin at this second since the epoch."""
        self.now = now

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on, or back with a negative number."""
        self.now += seconds


class RecordingListener:
    """Keeps every event."""

    def __init__(self) -> None:
        """Begin with none."""
        self.events: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        """Keep an event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]


class DictMemory:
    """Remembers in a dict; ``writes`` keeps each transaction."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.records: dict[tuple[Table, str], Record] = {}
        self.writes: list[tuple[Record, ...]] = []

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return a record, expired or not: there is no clock here."""
        return self.records.get((table, key))

    async def remember(self, records: Sequence[Record], /) -> None:
        """Keep records."""
        self.writes.append(tuple(records))
        self.records |= {(record.table, record.key): record for record in records}

    async def forget(self, table: Table, keys: Sequence[str], /) -> None:
        """Drop records."""
        for key in keys:
            self.records.pop((table, key), None)


class ScriptedChecker:
    """Gives the verdicts it was given, the last one for ever."""

    def __init__(self, *verdicts: Verdict, name: str = "registry") -> None:
        """Answer these, in order."""
        self.name = name
        self.verdicts = list(verdicts)
        self.asked: list[Reference] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def check(
        self, reference: Reference, _platforms: frozenset[Platform], /
    ) -> Verdict:
        """Answer the next verdict once the gate is open."""
        self.asked.append(reference)
        await self.gate.wait()
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


class DictManifests:
    """A registry's manifests in a dict, by repository and tag or digest."""

    def __init__(self) -> None:
        """Begin with none."""
        self.stored: dict[str, tuple[bytes, str]] = {}

    async def head_manifest(
        self, reference: Reference, /, *, deadline: float | None = None
    ) -> Descriptor | None:
        """Say what a reference points at."""
        del deadline
        found = await self.get_manifest(reference)
        return None if found is None else found[1]

    async def get_manifest(
        self, reference: Reference, /
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Return a document."""
        found = self.stored.get(f"{reference.name}@{reference.target}")
        if found is None:
            return None
        content, media_type = found
        return (
            parse_manifest(content, media_type),
            describe(content, media_type),
            content,
        )

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put a document under its target and its digest."""
        made = describe(content, media_type)
        for target in (reference.target, str(made.digest)):
            self.stored[f"{reference.name}@{target}"] = (content, media_type)
        return made


@dataclass(slots=True)
class FakeBuilder:
    """Makes an empty manifest for each request.

    Attributes:
        manifests: Where the manifests go.
        requests: What was asked for.
        started: Set when the first build has begun.
        gate: Builds wait for it; open unless a test closes it.
        error: Raised instead of building, when set.
    """

    manifests: DictManifests
    requests: list[BuildRequest] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    name: str = "fake"

    def __post_init__(self) -> None:
        """Open the gate."""
        self.gate.set()

    async def build(self, request: BuildRequest, /) -> Built:
        """Make a manifest that differs for each request."""
        self.requests.append(request)
        self.started.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        seed = f"{request.reference} {request.platform} {len(self.requests)}"
        config = Descriptor(
            media_type=OCI_CONFIG, digest=Digest.of(seed.encode()), size=len(seed)
        )
        if not request.push:
            return Built(config.digest)
        content = Manifest(config=config, layers=()).to_bytes()
        made = await self.manifests.put_manifest(
            request.reference, content, OCI_MANIFEST
        )
        return Built(made.digest)


@dataclass(slots=True)
class FakeToolBox:
    """Hands out the same checker and builder for every location."""

    asked: Checker
    builder: FakeBuilder
    cut: Callable[[ImageSpec], Prefix | None] = uncut

    async def has_engine(self) -> bool:
        """Say that an engine answers."""
        return True

    async def checker(self, _location: Location, /) -> Checker:
        """Return the checker."""
        return self.asked

    async def reader(self) -> TakeSnapshot:
        """Return what reads files."""
        return take_snapshot

    async def obtainer(self) -> type[ImageObtainer]:
        """Return what obtains images."""
        return ImageObtainer

    async def tools(self, _location: Location, /) -> ImageTools:
        """Return the builder and its manifests."""
        return ImageTools(
            builder=self.builder, manifests=self.builder.manifests, cut=self.cut
        )
