"""Processes that are signalled, forked and left: rows 52 to 56 of the table."""

# ruff: noqa: S311 - chance that can be repeated is wanted here

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.errors import AweighError
from aweigh.memory import Table
from aweigh.testing.store import MemoryStore
from tests.faults.support import (
    UNMEASURED,
    files_below,
    long_nap,
    program,
    remembered,
    wait_until_ended,
    wait_until_running,
)
from tests.services import Services

# Row 52: signals.


@pytest.mark.alone  # the second would be shared with others
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_row_52_signals_at_random_times(
    live_environ: dict[str, str],
    services: Services,
    nonce: str,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """The command ends within a second, with the right code and without a traceback."""
    temporary, source = tmp_path / "tmp", tmp_path / "src"
    temporary.mkdir()
    source.mkdir()
    for each in range(8):
        (source / f"{each}.bin").write_bytes(os.urandom(1 << 20))
    environ = live_environ | {"TMPDIR": str(temporary)}
    chance = random.Random(int(number))
    commands = []
    for attempt in range(10):
        command = long_nap()
        commands.append(command)
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.aweigh.image]\nname = "light"\nbase = "{services.base}"\n'
            f'env = {{ NONCE = "{nonce}-{attempt}" }}\nrun = ["{command}"]\n'
        )
        with _command(environ, tmp_path, "prepare", "pyproject.toml", "src") as process:
            # Python itself answers a Ctrl-C during its imports.
            assert process.stderr is not None
            process.stderr.readline()
            time.sleep(chance.uniform(0, 0.6))
            signalled = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
            seconds = time.monotonic() - signalled
        assert seconds < 1.0, err
        assert process.returncode in (128 + number, -number), err
        assert out == ""
        assert "Traceback" not in err, err
    for command in commands:
        wait_until_ended(command)
    assert files_below(temporary) == set()
    assert remembered(Path(live_environ["AWEIGH_CACHE_DIR"]), Table.IMAGES) == 0


def _command(
    environ: Mapping[str, str], folder: Path, *argv: str
) -> subprocess.Popen[str]:
    clean = {key: environ[key] for key in environ if key not in UNMEASURED}
    return subprocess.Popen(
        [sys.executable, "-m", "aweigh", *argv],
        cwd=folder,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Row 53 is in tests/flow/test_prepare.py, on doubles; here with a real failure.


async def test_row_53_a_real_failure_is_the_error_and_ends_the_other(
    live: Settings, services: Services, nonce: str, tmp_path: Path
) -> None:
    """The bundle's error is what the caller sees, and the build is stopped."""
    command = long_nap()
    spec = ImageSpec("light", base=services.base).with_env(NONCE=nonce)
    async with open_session(live) as session:
        with pytest.raises(AweighError, match="nowhere"):
            await session.prepare(spec.with_run(command), tmp_path / "nowhere")
    await asyncio.to_thread(wait_until_ended, command)


# Rows 54 to 56: forks, exits, other loops and threads.


@pytest.mark.parametrize("name", ["fork", "fork-after"])
def test_row_54_forked_child_opens_its_own(
    offline_environ: dict[str, str], tmp_path: Path, name: str
) -> None:
    """Parent and child both get the right answer, and both end."""
    with program(offline_environ, name, str(tmp_path / "src")) as forking:
        assert forking.finish(timeout=15) == 0, forking.errors
    assert forking.errors == ""
    (parent,) = forking.of("parent")
    (child,) = forking.of("child")
    assert parent["status"] == 0
    assert (child["uri"], child["origin"]) == (parent["uri"], "recalled")


EXITS = {
    "exit-returning": 0,
    "exit-raising": 3,
    "exit-collected": 0,
    "exit-shared": 0,
    "exit-shared-loop-closed": 0,
    "exit-shared-loop-open": 0,
    "exit-pending": 0,
    "exit-interrupted": 130,
    "exit-in-thread": 0,
    "exit-loop-in-daemon": 0,
}


@pytest.mark.parametrize(("name", "code"), EXITS.items())
def test_row_55_exit_with_an_open_session(
    offline_environ: dict[str, str], tmp_path: Path, name: str, code: int
) -> None:
    """The process is gone within a second of main's end, and what it knew is kept."""
    source = str(tmp_path / "src")
    with program(offline_environ, name, source) as leaving:
        ended = leaving.wait_for("ended")
        assert leaving.finish(timeout=10) == code, leaving.errors
        gone = time.monotonic()
    assert gone - ended["at"] < 1.0
    assert "Traceback" not in leaving.errors, leaving.errors
    (tmp_path / "src" / "more.py").unlink(missing_ok=True)
    with program(offline_environ, "upload", source) as again:
        assert again.finish() == 0
    assert again.of("bundle")[0]["origin"] == "recalled"


async def test_row_55_leaving_a_session_ends_what_it_runs(
    offline_environ: dict[str, str], tmp_path: Path
) -> None:
    """An upload that somebody forgot is over when the session is."""
    settings = Settings.load(tmp_path, offline_environ)
    store = MemoryStore(settings.store_url)
    store.delay = 60

    async def stored() -> MemoryStore:
        return store

    async with open_session(settings) as session:
        session.backends._stores[settings.store_url] = stored  # type: ignore[attr-defined]
        forgotten = asyncio.create_task(session.upload_bundle(tmp_path / "src"))
        while not store.requests:
            await asyncio.sleep(0.005)
    assert asyncio.all_tasks() - {forgotten} == {asyncio.current_task()}
    with pytest.raises(asyncio.CancelledError):
        await forgotten
    assert store.objects == {}


async def test_row_55_leaving_a_session_stops_its_builds(
    live: Settings, services: Services, nonce: str
) -> None:
    """A build that somebody forgot is cancelled before its engine is closed."""
    command = long_nap()
    spec = ImageSpec("light", base=services.base).with_env(NONCE=nonce)
    async with open_session(live) as session:
        forgotten = asyncio.create_task(session.ensure_image(spec.with_run(command)))
        await asyncio.to_thread(wait_until_running, command)
    with pytest.raises(asyncio.CancelledError):
        await forgotten
    await asyncio.to_thread(wait_until_ended, command)


def test_row_56_a_session_in_a_second_loop_is_refused(
    offline_environ: dict[str, str], tmp_path: Path
) -> None:
    """A session belongs to its loop; another is told so by name, and nothing hangs."""
    with program(offline_environ, "second-loop", str(tmp_path / "src")) as one:
        assert one.finish(timeout=10) == 0, one.errors
    assert one.of("error")[0]["name"] == "WrongLoopError"


def test_row_56_each_thread_has_its_own(
    offline_environ: dict[str, str], tmp_path: Path
) -> None:
    """Module-level functions work in the loops of four threads at once."""
    with program(offline_environ, "threads", str(tmp_path / "src")) as four:
        assert four.finish(timeout=10) == 0, four.errors
    assert four.errors == ""
    assert len({bundle["uri"] for bundle in four.of("bundle")}) == 1
    assert len(four.of("bundle")) == 4
