"""Builds in the real engine: steps, cache, failures, cancellation, big contexts."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.backends.engine import (
    Deadlines,
    Engine,
    EngineBuilder,
    inspect_image,
    open_engine,
    run_container,
)
from aweigh.errors import BuildError, ChangedError, EngineError
from aweigh.events import (
    BuildFinished,
    BuildLogged,
    BuildStarted,
    BuildStepFinished,
    BuildStepStarted,
)
from aweigh.image.build import BuildRequest
from aweigh.image.credential import Credential
from aweigh.oci import Digest, Platform
from tests.backends.engine.doubles import (
    END,
    Credentials,
    Files,
    Heads,
    Heard,
    chunks,
    engine_double,
    eventually,
    resident,
    response,
    running,
    unique_seconds,
)
from tests.services import Services

Make = Callable[..., EngineBuilder]
Request = Callable[..., BuildRequest]


async def test_a_build_leaves_a_labelled_image(
    engine: Engine, make_builder: Make, make_request: Request, mark: str, heard: Heard
) -> None:
    """Context files are in, labels are on, and every step was told with its lines."""
    hello = Member(path="steps/0/a", kind="file", size=5, source=b"hello")
    request = make_request(snapshot=Files((hello,)))
    builder = make_builder(f"COPY steps/0/a /a\nRUN cat /a && echo {mark} >&2")
    built = await builder.build(request)
    image = await inspect_image(engine, str(request.reference))
    assert image is not None
    assert image.id == built.digest
    assert image.platform == request.platform
    assert image.labels["aweigh.test"] == mark
    assert {event.line for event in heard.of(BuildLogged)} == {"hello", mark}
    assert isinstance(heard.events[0], BuildStarted)
    assert isinstance(heard.events[-1], BuildFinished)
    assert any("RUN cat /a" in event.step for event in heard.of(BuildStepStarted))
    assert not any("internal" in event.step for event in heard.of(BuildStepStarted))


async def test_a_second_build_is_cached_unless_refreshed(
    make_builder: Make, make_request: Request, mark: str, heard: Heard
) -> None:
    """The same steps are cached; `refresh` runs them again."""
    builder = make_builder(f"RUN echo {mark}")

    async def cached(**more: object) -> bool:
        heard.events.clear()
        await builder.build(make_request(**more))
        return [
            event.cached
            for event in heard.of(BuildStepFinished)
            if f"echo {mark}" in event.step
        ] == [True]

    assert not await cached()
    assert await cached()
    assert not await cached(refresh=True)


async def test_a_failing_step_is_named_with_its_last_lines(
    engine: Engine,
    make_builder: Make,
    make_request: Request,
    services: Services,
    mark: str,
) -> None:
    """Step, exit code and the end of its log are in the error, without secrets."""
    secret = Credential(username="me", password=f"pw-{mark}")
    credentials = Credentials({services.registry: secret})
    command = f"for i in $(seq 30); do echo line $i; done; echo pw-{mark}; exit 3"
    request = make_request()
    with pytest.raises(BuildError, match="exit code: 3") as caught:
        await make_builder(f"RUN {command}", credentials=credentials).build(request)
    assert "RUN for i in" in caught.value.step
    assert caught.value.log[-2:] == ("line 30", "***")
    assert len(caught.value.log) == 20
    assert f"pw-{mark}" not in repr(caught.value) + str(caught.value)
    assert await inspect_image(engine, str(request.reference)) is None


async def test_a_package_nobody_has_is_named(
    make_builder: Make, make_request: Request
) -> None:
    """The installer runs from its own image, and its refusal becomes the hint."""
    lines = (
        "RUN --mount=from=INSTALLER,source=/uv,target=/uv "
        "/uv pip install --target /x nosuch-package-of-aweigh"
    )
    with pytest.raises(BuildError) as caught:
        await make_builder(lines).build(make_request())
    assert "'nosuch-package-of-aweigh'" in caught.value.hint


async def test_a_broken_dockerfile_is_a_build_error(
    make_builder: Make, make_request: Request
) -> None:
    """What fails before the first step has no step, and BuildKit's own words."""
    with pytest.raises(BuildError, match="unknown instruction: NOSUCH") as caught:
        await make_builder("NOSUCH x").build(make_request())
    assert caught.value.step == ""


async def test_a_file_that_changed_stops_the_build(
    engine: Engine, make_builder: Make, make_request: Request, tmp_path: Path
) -> None:
    """The context is what was digested, or there is no image."""
    path = tmp_path / "a"
    path.write_bytes(b"now")
    member = Member(
        path="a", kind="file", size=3, source=path, digest=Digest.of(b"old")
    )
    request = make_request(snapshot=Files((member,)))
    with pytest.raises(ChangedError):
        await make_builder("COPY a /a").build(request)
    assert await inspect_image(engine, str(request.reference)) is None


async def test_a_big_context_is_streamed(
    make_builder: Make, make_request: Request, tmp_path: Path
) -> None:
    """200 MB go through without being held in memory."""
    path = tmp_path / "big"
    with path.open("wb") as file:
        file.truncate(200_000_000)
    member = Member(path="big", kind="file", size=200_000_000, source=path)
    request = make_request(snapshot=Files((member,)))
    builder = make_builder("RUN --mount=type=bind,source=/,target=/c wc -c /c/big")
    before = resident()
    build = asyncio.create_task(builder.build(request))
    peak = before
    while not build.done():
        peak = max(peak, resident())
        await asyncio.sleep(0.01)
    await build
    assert peak - before < 40_000_000


async def test_cancelling_stops_the_step_within_a_second(
    engine: Engine, make_builder: Make, make_request: Request
) -> None:
    """The process in the engine is gone, and nothing is tagged."""
    seconds = unique_seconds()
    request = make_request()
    build = asyncio.create_task(make_builder(f"RUN sleep {seconds}").build(request))
    await eventually(lambda: running(seconds) or build.done())
    build.cancel()
    with pytest.raises(asyncio.CancelledError):
        await build
    assert await eventually(lambda: not running(seconds)) < 1.5
    assert await inspect_image(engine, str(request.reference)) is None


async def test_a_silent_step_is_stopped_at_the_idle_deadline(
    services: Services, make_request: Request, heard: Heard
) -> None:
    """A hung step ends, here and in the engine."""
    seconds = unique_seconds()
    async with open_engine(services.engine, deadlines=Deadlines(build=1.0)) as engine:
        builder = EngineBuilder(
            engine,
            credentials=Credentials(),
            registry=Heads(),
            render=lambda *_, **names: f"FROM {names['base']}\nRUN sleep {seconds}\n",
            listener=heard,
        )
        with pytest.raises(EngineError, match="silent for 1 s"):
            await builder.build(make_request())
    assert await eventually(lambda: not running(seconds)) < 1.5


@pytest.mark.parametrize(
    "ending",
    [b"", b'{"aux": {"ID": "sha256:%s"}}\n' % (b"a" * 64), b'{"stream": "ok"}\n'],
    ids=["nothing", "classic builder", "words"],
)
async def test_a_clean_end_without_the_result_is_no_success(
    tmp_path: Path, make_request: Request, ending: bytes
) -> None:
    """Only BuildKit's image id counts, also when nothing went wrong visibly."""

    async def answer(
        line: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await reader.read(65536):
            if "/build" in line:
                break
        writer.write(chunks(*filter(None, [ending])) + END)

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        builder = EngineBuilder(
            e,
            credentials=Credentials(),
            registry=Heads(),
            render=lambda *_, **__: "FROM scratch\n",
        )
        with pytest.raises(EngineError, match="without result") as caught:
            await builder.build(make_request(base=None))
    assert "BuildKit" in caught.value.hint


async def test_a_damaged_image_id_is_no_result(
    tmp_path: Path, make_request: Request
) -> None:
    """An id that is no digest is as good as none."""

    async def answer(
        _: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(65536)
        writer.write(chunks(b'{"id": "moby.image.id", "aux": {"ID": "x"}}\n') + END)

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        builder = EngineBuilder(
            e,
            credentials=Credentials(),
            registry=Heads(),
            render=lambda *_, **__: "FROM scratch\n",
        )
        with pytest.raises(EngineError, match="without result"):
            await builder.build(make_request(base=None))


async def test_a_refused_build_is_an_engine_error(
    tmp_path: Path, make_request: Request
) -> None:
    """What the engine says before it starts is passed on."""

    async def answer(
        _: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(65536)
        writer.write(response(b'{"message": "no buildkit"}', "400 Bad"))

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        builder = EngineBuilder(
            e,
            credentials=Credentials(),
            registry=Heads(),
            render=lambda *_, **__: "FROM scratch\n",
        )
        with pytest.raises(EngineError, match="400: no buildkit"):
            await builder.build(make_request(base=None))


async def test_a_platform_the_engine_cannot_run_hints_at_emulation(
    make_builder: Make, make_request: Request
) -> None:
    """A step for another processor fails with the way out."""
    foreign = next(
        Platform("linux", name)
        for name in ("arm64", "amd64")
        if Platform("linux", name) != Platform.host()
    )
    script = b"\x7fELF\x02\x01\x01" + b"\0" * 57
    member = Member(
        path="sh", kind="file", executable=True, size=len(script), source=script
    )
    request = make_request(base=None, platform=foreign, snapshot=Files((member,)))

    def render(*_: object, **__: object) -> str:
        return 'FROM scratch\nCOPY sh /bin/sh\nRUN ["/bin/sh"]\n'

    with pytest.raises(BuildError) as caught:
        await make_builder("", render=render).build(request)
    assert "emulation" in caught.value.hint


async def test_the_image_runs(
    engine: Engine, make_builder: Make, make_request: Request, mark: str
) -> None:
    """What was built can be run at once by its id."""
    built = await make_builder(f"RUN echo {mark} > /word").build(make_request())
    lines: list[str] = []
    code = await run_container(
        engine, str(built.digest), ["cat", "/word"], on_log=lines.append
    )
    assert (code, lines) == (0, [mark])
