"""Flows from end to end: code in an image, run by the real engine."""

import dataclasses
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aweigh import ImageSpec, Session, Settings, open_session
from aweigh.backends.engine import Engine, inspect_image, open_engine
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.errors import TargetError
from aweigh.events import (
    BlobPushed,
    BuildStarted,
    CodeDelivered,
    TaskStarted,
    Warned,
    silent,
)
from aweigh.testing import FakeTarget, RecordingListener
from tests.conftest import AccessLog
from tests.faults.scene import Nobody
from tests.flow.sources import asked, delete, some_code
from tests.services import Services

if TYPE_CHECKING:
    from aweigh.flow.target import LogLine

LABEL = "aweigh.test"
COMMAND = ["python3", "main.py"]
PROGRAM = """import os, sys
from package.letters import X
print(os.getcwd(), os.environ["PYTHONPATH"], X, sep="|")
"""


@pytest.fixture
async def engine(services: Services) -> AsyncIterator[Engine]:
    """Return a client of the real engine."""
    async with open_engine(services.engine) as opened:
        yield opened


@pytest.fixture
async def mark(engine: Engine) -> AsyncIterator[str]:
    """Return a word of this test alone; its labelled images are removed after it."""
    word = uuid.uuid4().hex[:12]
    yield word
    await remove_images(engine, word)


async def remove_images(engine: Engine, word: str) -> int:
    """Remove the images that have a label; return how many there were."""
    filters = f'{{"label": ["{LABEL}={word}"]}}'
    found = await engine.send("GET", "images/json", params={"filters": filters})
    for image in found:
        await engine.send("DELETE", f"images/{image['Id']}", params={"force": "1"})
    return len(found)


@pytest.fixture
async def registry() -> AsyncIterator[RegistryClient]:
    """Return a client of all registries."""
    async with open_registry(Nobody(), listener=silent) as client:
        yield client


@pytest.fixture
def heard() -> RecordingListener:
    """Return a listener."""
    return RecordingListener()


@pytest.fixture
async def session(live: Settings, heard: RecordingListener) -> AsyncIterator[Session]:
    """Return an open session for the real services."""
    async with open_session(live, listener=heard) as opened:
        yield opened


@pytest.fixture
def spec(services: Services, mark: str) -> ImageSpec:
    """Return the spec of an image of this test's own."""
    return ImageSpec("demo", base=services.base).with_labels({LABEL: mark})


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a directory with a program."""
    directory = some_code(tmp_path / "code")
    (directory / "main.py").write_text(PROGRAM)
    return directory


async def said(session: Session, spec: ImageSpec, code: Path) -> list[str]:
    """Run the program and return its lines."""
    lines: list[LogLine] = []
    result = await session.run(spec, code, COMMAND, on_log=lines.append, timeout=120)
    assert result.exit_code == 0, lines
    return [line.text for line in lines]


async def test_code_runs_and_edits_are_seen(
    session: Session, spec: ImageSpec, code: Path, heard: RecordingListener
) -> None:
    """The program starts in its directory and finds its modules, as they are now."""
    assert await said(session, spec, code) == ["/app|/app|1"]
    (code / "package" / "letters.py").write_text("X = 22\n")
    assert await said(session, spec, code) == ["/app|/app|22"]
    pushed = [event for event in heard.of(BlobPushed) if event.layer == "code"]
    assert [event.reused for event in pushed] == [False, False]
    assert len(heard.of(BuildStarted)) == 1


async def test_a_second_run_moves_nothing(
    session: Session,
    spec: ImageSpec,
    code: Path,
    live: Settings,
    access_log: AccessLog,
) -> None:
    """The engine has the image and we remember it: the registry hears nothing."""
    await said(session, spec, code)
    access_log.mark()
    assert await said(session, spec, code) == ["/app|/app|1"]
    assert asked(access_log, live) == []


async def test_what_was_deleted_behind_the_cache_is_healed(
    session: Session,
    spec: ImageSpec,
    code: Path,
    heard: RecordingListener,
    registry: RegistryClient,
) -> None:
    """We remember both images, the engine never had them, the registry no longer has.

    The engine remembers manifests by digest, and pulls what it once had even then.
    """
    target = FakeTarget()
    ran = await session.run(spec, code, COMMAND, target=target)
    await delete(registry, target.tasks[0].image)
    await delete(registry, ran.ready.image)
    assert await said(session, spec, code) == ["/app|/app|1"]
    assert len(heard.of(BuildStarted)) == 2
    assert len(heard.of(Warned)) == 1
    _, refused, started = heard.of(TaskStarted)
    assert refused.name != started.name


async def test_without_a_registry_the_engine_has_it_all(
    live: Settings,
    spec: ImageSpec,
    code: Path,
    heard: RecordingListener,
    engine: Engine,
) -> None:
    """Built, loaded, run and healed in one engine."""
    local = dataclasses.replace(live, registry=None)
    async with open_session(local, listener=heard) as session:
        assert await said(session, spec, code) == ["/app|/app|1"]
        (code / "package" / "letters.py").write_text("X = 22\n")
        assert await said(session, spec, code) == ["/app|/app|22"]
        assert await said(session, spec, code) == ["/app|/app|22"]
        image = heard.of(CodeDelivered)[-1].reference
        await engine.send("DELETE", f"images/{image}", params={"force": "1"})
        assert await said(session, spec, code) == ["/app|/app|22"]
        assert await inspect_image(engine, image) is not None
    assert [event.origin for event in heard.of(CodeDelivered)] == [
        "built",
        "built",
        "recalled",
        "recalled",
        "built",
    ]


async def test_a_program_that_takes_too_long_is_stopped(
    session: Session, spec: ImageSpec, code: Path, engine: Engine
) -> None:
    """It is gone when the error is there, and so is its container."""
    (code / "main.py").write_text("import time; time.sleep(600)\n")
    began = time.monotonic()
    with pytest.raises(TargetError, match="did not end within") as caught:
        await session.run(spec, code, ["python3", "main.py"], timeout=3)
    assert time.monotonic() - began < 60
    listed = await engine.send("GET", "containers/json", params={"all": "1"})
    name = str(caught.value).partition(" ")[0]
    assert not [one for one in listed if name in str(one["Names"])]


async def test_the_exit_code_is_the_programs_own(
    session: Session, spec: ImageSpec, code: Path
) -> None:
    """Output and error output are told apart."""
    (code / "main.py").write_text("import sys; print(1); sys.exit('no')\n")
    lines: list[LogLine] = []
    result = await session.run(spec, code, COMMAND, on_log=lines.append)
    assert result.exit_code == 1
    assert {(line.stream, line.text) for line in lines} == {
        ("stdout", "1"),
        ("stderr", "no"),
    }
