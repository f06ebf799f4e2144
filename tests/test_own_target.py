"""The example of a target of one's own, as small as it is said to be."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from aweigh import ImageSpec, Session, Settings, open_session
from aweigh.errors import TargetError
from aweigh.flow.target import LogLine, Resources, Target
from tests.flow.sources import some_code, some_spec
from tests.services import Services

EXAMPLE = Path(__file__).parent.parent / "examples" / "own_target"
MOST_LINES = 100


@pytest.fixture
def local_target(monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings], Target]:
    """Return the example's class."""
    monkeypatch.syspath_prepend(EXAMPLE)
    module: Any = __import__("local_target")
    return cast("Callable[[Settings], Target]", module.LocalTarget)


@pytest.fixture
def spec(services: Services) -> ImageSpec:
    """Return the spec of an image of this test's own."""
    return some_spec(services)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a directory of code."""
    return some_code(tmp_path / "code")


def test_it_is_small() -> None:
    """Others can write a target in under 100 lines: this is one."""
    assert len((EXAMPLE / "local_target.py").read_text().splitlines()) < MOST_LINES


def test_the_example_runs(live_environ: dict[str, str], services: Services) -> None:
    """On the machine first, in a container after it; the streams are kept apart."""
    done = subprocess.run(
        [sys.executable, EXAMPLE / "main.py", "ahoy"],
        env=live_environ | {"EXAMPLE_BASE": services.base},
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.stdout.splitlines() == [
        "on this machine ahoy",
        "exit code 3",
        "in a container ahoy",
        "exit code 3",
    ], done.stderr
    assert done.stderr.splitlines() == ["where.py is here: True"] * 2


async def started(session: Session, spec: ImageSpec, code: Path, target: Target) -> int:
    """Run a program that never ends, cancel it when it runs, return its process id."""
    (code / "main.py").write_text(
        "import os, time; print(os.getpid(), flush=True); time.sleep(600)\n"
    )
    lines: asyncio.Queue[LogLine] = asyncio.Queue()
    running = asyncio.create_task(
        session.run(
            spec, code, ["python3", "main.py"], target=target, on_log=lines.put_nowait
        )
    )
    first = asyncio.create_task(lines.get())
    await asyncio.wait([first, running], return_when=asyncio.FIRST_COMPLETED)
    assert not running.done(), await running
    pid = int(first.result().text)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    return pid


async def test_cancelling_leaves_no_process(
    live: Settings,
    spec: ImageSpec,
    code: Path,
    local_target: Callable[[Settings], Target],
) -> None:
    """What the protocol demands of targets is true of the example."""
    target = local_target(live)
    assert isinstance(target, Target)
    async with open_session(live) as session:
        pid = await started(session, spec, code, target)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        with pytest.raises(TargetError, match="does not start"):
            await session.run(spec, code, ["no-such-program"], target=target)
        with pytest.raises(TargetError, match="wants a container"):
            await session.run(
                spec,
                code,
                ["true"],
                target=target,
                resources=Resources(memory=1 << 30),
            )
        result = await session.run(
            spec, code, ["sh", "-c", "kill -9 $$"], target=target
        )
    assert result.exit_code == 137
