"""Local images: present, absent or unknown."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.backends.engine import (
    Engine,
    EngineBuilder,
    EngineChecker,
    inspect_image,
    open_engine,
)
from aweigh.errors import EngineError
from aweigh.image.build import BuildRequest
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.oci import Platform, Reference
from aweigh.oci.manifest import DOCKER_CONFIG
from tests.backends.engine.doubles import engine_double, response

HOST = Platform.host()
OTHER = Platform("linux", "s390x")


async def test_a_local_image_is_present(
    engine: Engine,
    make_builder: Callable[..., EngineBuilder],
    make_request: Callable[..., BuildRequest],
) -> None:
    """The descriptor names the image id; another platform is absent."""
    request = make_request()
    built = await make_builder("RUN true").build(request)
    checker = EngineChecker(engine)
    verdict = await checker.check(request.reference, frozenset({HOST}))
    assert isinstance(verdict, Present)
    assert verdict.descriptor.digest == built.digest
    assert verdict.descriptor.media_type == DOCKER_CONFIG
    assert verdict.descriptor.size > 1_000_000
    assert verdict.platforms == {HOST}
    both = await checker.check(request.reference, frozenset({HOST, OTHER}))
    assert both == Absent(f"the engine has it for {HOST}, not for {OTHER}")


async def test_a_missing_image_is_absent(engine: Engine, mark: str) -> None:
    """The engine itself says so."""
    reference = Reference.parse(f"t/{mark}:nosuch")
    verdict = await EngineChecker(engine).check(reference, frozenset({HOST}))
    assert isinstance(verdict, Absent)
    assert mark in verdict.reason


async def test_no_engine_is_unknown(tmp_path: Path) -> None:
    """A fault is no answer, and comes with its hint."""
    async with open_engine(f"unix://{tmp_path}/none") as engine:
        checker = EngineChecker(engine)
        verdict = await checker.check(Reference.parse("x"), frozenset({HOST}))
    assert isinstance(verdict, Unknown)
    assert "no engine is running" in verdict.reason
    assert "start it" in verdict.hint


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"Id": "x", "Os": "a"}', b"1"])
async def test_an_unreadable_description_is_unknown(
    tmp_path: Path, body: bytes
) -> None:
    """An answer we cannot read is not taken for one."""

    async def answer(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(response(body))

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        with pytest.raises(EngineError, match="cannot read"):
            await inspect_image(e, "x")
