"""Who builds what: the assembler first, the engine where it must."""

from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.errors import BuildError, NeedsEngineError, RegistryError
from aweigh.events import Warned
from aweigh.image.build import Builder, BuildRequest
from aweigh.image.choose import ChoosingBuilder, PinningBuilder
from aweigh.image.files import take_snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform, Reference
from aweigh.testing.doubles import DictManifests, FakeBuilder, RecordingListener
from tests.image.locks import make_lock

SPEC = ImageSpec("train", base="base.example/python:3").with_packages("idna")
REQUEST = BuildRequest(
    spec=SPEC,
    snapshot=take_snapshot(SPEC, Path("/nowhere")),
    reference=Reference.parse("r.example/train:1"),
    platform=Platform.parse("linux/amd64"),
    base=Reference.parse("base.example/python:3"),
    labels={},
)
REFUSAL = NeedsEngineError("pycrypto 2.6 has no wheel", hint="take another")


class Pair:
    """A chooser between two builders that keep count."""

    def __init__(
        self, error: Exception | None = None, *, executes: bool = False
    ) -> None:
        manifests = DictManifests()
        self.heard = RecordingListener()
        self.assembler = FakeBuilder(manifests, error=error)
        self.engine = FakeBuilder(manifests)
        self.builder = ChoosingBuilder(
            self.assembler, self._open, lambda _request: executes, self.heard
        )

    async def _open(self) -> Builder:
        return self.engine


async def test_the_assembler_is_asked_first() -> None:
    """The engine is not even opened."""
    pair = Pair()
    await pair.builder.build(REQUEST)
    assert (pair.assembler.requests, pair.engine.requests) == ([REQUEST], [])
    assert pair.heard.events == []


async def test_what_executes_is_the_engines() -> None:
    """The assembler is not asked."""
    pair = Pair(executes=True)
    await pair.builder.build(REQUEST)
    assert (pair.assembler.requests, pair.engine.requests) == ([], [REQUEST])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (REFUSAL, "pycrypto 2.6"),
        (RegistryError("401", hint="log in", registry="base.example"), "401"),
    ],
)
async def test_what_cannot_be_assembled_goes_to_the_engine(
    error: Exception, reason: str
) -> None:
    """A warning says why."""
    pair = Pair(error)
    await pair.builder.build(REQUEST)
    assert pair.engine.requests == [REQUEST]
    (warned,) = pair.heard.of(Warned)
    assert reason in warned.message
    assert "train" in warned.message


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (BuildError("no", hint="x"), REQUEST.base),
        (RegistryError("401", hint="log in", registry="r.example"), REQUEST.base),
        (
            RegistryError("401", hint="log in", registry="r.example"),
            Reference.parse("r.example/train:0"),
        ),
        (RegistryError("401", hint="log in", registry="base.example"), None),
    ],
)
async def test_what_no_engine_mends_is_raised(
    error: Exception, base: Reference | None
) -> None:
    """A destination that refuses would refuse the engine's push too."""
    pair = Pair(error)
    with pytest.raises(type(error)):
        await pair.builder.build(replace(REQUEST, base=base))
    assert pair.engine.requests == []


async def test_what_was_pinned_is_told() -> None:
    """The answer holds the lock that was built from."""
    lock = make_lock([])

    class Pinner:
        async def pin(self, request: BuildRequest, /) -> BuildRequest:
            return replace(request, lock=lock)

    inner = FakeBuilder(DictManifests())
    builder = PinningBuilder(inner, Pinner())
    assert builder.name == inner.name
    assert (await builder.build(REQUEST)).lock is lock
    assert inner.requests[0].lock is lock
