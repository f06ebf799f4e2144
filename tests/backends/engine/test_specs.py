"""Real specs, rendered and built in the real engine."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.backends.engine import Engine, EngineBuilder, run_container
from aweigh.errors import BuildError
from aweigh.events import BuildStepFinished
from aweigh.image.build import BuildRequest
from aweigh.image.files import take_snapshot
from aweigh.image.spec import ImageSpec
from tests.backends.engine.doubles import Credentials, Heads, Heard
from tests.services import Services


@pytest.fixture
def builder(engine: Engine, heard: Heard) -> EngineBuilder:
    """Return a builder as the session makes it."""
    return EngineBuilder(
        engine, credentials=Credentials(), registry=Heads(), listener=heard
    )


@pytest.fixture
def request_of(
    make_request: Callable[..., BuildRequest], tmp_path: Path
) -> Callable[[ImageSpec], BuildRequest]:
    """Return a function that makes the request for a spec over `tmp_path`."""

    def make(spec: ImageSpec) -> BuildRequest:
        snapshot = take_snapshot(spec, tmp_path)
        return make_request(spec=spec, snapshot=snapshot, base=snapshot.base)

    return make


async def test_a_spec_with_packages_files_and_environment(
    *,
    engine: Engine,
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec], BuildRequest],
    services: Services,
    tmp_path: Path,
    heard: Heard,
) -> None:
    """Python sees the package, the file and the variable; twice is cached."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "a.txt").write_text("hello")
    spec = (
        ImageSpec("t", base=services.base)
        .with_packages("six==1.17.0")
        .with_files("config", "/app/config")
        .with_env(WORD="yes")
    )
    request = await asyncio.to_thread(request_of, spec)
    built = await builder.build(request)
    lines: list[str] = []
    script = (
        "import os, six; print(six.__version__, os.environ['WORD'], "
        "open('/app/config/a.txt').read())"
    )
    code = await run_container(
        engine, str(built.digest), ["python", "-c", script], on_log=lines.append
    )
    assert (code, lines) == (0, ["1.17.0 yes hello"])
    heard.events.clear()
    assert await builder.build(request) == built
    ran = [event for event in heard.of(BuildStepFinished) if "RUN" in event.step]
    assert ran
    assert all(event.cached for event in ran)


async def test_a_requirement_nobody_has_is_named(
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec], BuildRequest],
    services: Services,
) -> None:
    """The rendered step fails with the requirement in the hint."""
    spec = ImageSpec("t", base=services.base).with_packages("six==0.0.1")
    request = await asyncio.to_thread(request_of, spec)
    with pytest.raises(BuildError) as caught:
        await builder.build(request)
    assert "six==0.0.1" in caught.value.hint


async def test_a_dockerfile_is_built_with_its_context(
    engine: Engine,
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec], BuildRequest],
    services: Services,
    tmp_path: Path,
) -> None:
    """The user's own Dockerfile is taken as it is."""
    (tmp_path / "a.txt").write_text("from the context")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {services.base}\nCOPY a.txt /a.txt\nCMD cat /a.txt\n"
    )
    spec = ImageSpec.from_dockerfile("Dockerfile", name="t", context=".")
    request = await asyncio.to_thread(request_of, spec)
    built = await builder.build(request)
    lines: list[str] = []
    code = await run_container(engine, str(built.digest), [], on_log=lines.append)
    assert (code, lines) == (0, ["from the context"])
