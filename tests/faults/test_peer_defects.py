"""Defects that tools of this kind had, each with the test that would catch it here.

The numbers are those of a list of 37 defects found in a peer. A name without a file is
a test below. `test_the_table_names_tests_that_exist` keeps the table true.

1  deleted image stays the answer       test_session.py::test_stale_row_of_a_deleted_image_is_rebuilt
2  edit during a build poisons the row  image/test_ensure.py::test_file_edited_during_the_build_is_not_remembered
3  tags that collide                    image/test_digest.py::test_no_two_of_these_are_one
4  tags that leave things out           image/test_digest.py::test_a_dockerfile_counts
5  tags that depend on listing order    image/test_digest.py::test_order_times_and_root_do_not_count
6  one platform overwrites another      image/test_publish.py::test_adding_a_platform_keeps_the_others
7  a manifest of unknown platform       backends/test_registry_real.py::test_the_checker_wants_every_platform
8  nobody answers: "it exists"          test_08_nobody_to_ask_is_never_there
9  a dry run builds                     test_09_explaining_a_dockerfile_runs_nothing
10 an option that is ignored            none: there is no such option
11 built, then a setting is missing     test_11_settings_are_judged_before_anything_is_built
12 forced twice, built once             test_12_each_rebuild_builds
13 three processes, three builds        faults/test_single_flight_faults.py::test_row_8_sixteen_processes_make_one_build
14 a cancelled build goes on            test_session.py::test_cancelled_build_leaves_nothing_running
15 threads that are never ended         test_15_builds_leave_no_threads
16 secrets that are not passed on       image/test_spec.py::test_run_takes_no_secrets_and_says_so
17 bundle digests that collide          bundle/test_manifest.py::test_old_collisions_stay_apart
18 edit between digest and pack         bundle/test_upload.py::test_file_edited_before_packing_is_noticed
19 a deleted bundle is the answer       bundle/test_upload.py::test_object_deleted_behind_the_row_is_put_again
20 an edit is not seen, or no sharing   test_20_an_edit_is_seen_by_the_next_call
21 the cache is in its own bundle       test_21_what_we_write_is_in_no_bundle
22 ignored files are shipped            tree/test_ignore.py::test_the_same_files_as_git
23 bytes depend on installed tools      archive/test_compress.py::test_neither_threads_nor_pieces_show
24 a whole archive in memory            test_24_an_upload_needs_little_memory
25 a damaged database is never mended   backends/localdb/test_damage.py::test_damaged_database_is_moved_aside_once
26 the interpreter hangs at exit        faults/test_process_life.py::test_row_55_exit_with_an_open_session
27 work that blocks the loop            test_27_the_loop_is_awake_during_the_whole_of_prepare
28 one registry asked about another     faults/test_registry_faults.py::test_row_18_asks_for_all_four_types
29 absence read out of a text           faults/test_registry_faults.py::test_row_19_a_404_of_something_else_decides_nothing
30 no retries, no deadlines, no log     faults/test_registry_faults.py::test_row_21_three_tries_and_then_an_error
31 tags instead of digests              image/test_ensure.py::test_absent_is_built_pushed_and_remembered
32 another .dockerignore is digested    image/test_context.py::test_a_dockerfile_may_have_its_own_rules
33 copied but not digested              image/test_project.py::test_local_projects_of_a_lock_come_along
34 a signed URL that expires            none: each request is signed when it is made
35 cleaning under other processes       test_35_cleaning_disturbs_nobody
36 a lock held across an await          test_36_many_sessions_close_at_once
37 siblings go on after a failure       flow/test_prepare.py::test_first_failure_cancels_the_other_and_is_the_error
"""

# ruff: noqa: E501 - a table's rows are lines

import asyncio
import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.errors import SettingsError, UndecidedError
from aweigh.events import BuildStarted
from aweigh.settings import environment
from aweigh.testing.doubles import RecordingListener
from tests.conftest import AccessLog
from tests.services import Services

TESTS = Path(__file__).parents[1]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a directory with some code."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    return source


@pytest.fixture
def alone(tmp_path: Path) -> Settings:
    """Return settings that need no service and reach none."""
    return Settings(
        registry="127.0.0.1:1/nobody",
        engine=f"unix://{tmp_path}/no.sock",
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "data",
    )


def test_the_table_names_tests_that_exist() -> None:
    """All 37 are there, and each named test is where the table says."""
    rows = re.findall(r"^(\d+) +\S.*?  +(\S.*)$", str(__doc__), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 38))
    for _, place in rows:
        if place.startswith("none: "):
            continue
        file, _, name = place.rpartition("::")
        path = TESTS / file if file else Path(__file__)
        assert re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE), (
            place
        )


async def test_08_nobody_to_ask_is_never_there(alone: Settings) -> None:
    """Neither engine nor registry: an error with a hint, and no image."""
    async with open_session(alone) as session:
        with pytest.raises(UndecidedError) as caught:
            await session.ensure_image(ImageSpec("light", base="base.example/a:1"))
    assert caught.value.hint


async def test_09_explaining_a_dockerfile_runs_nothing(
    live: Settings,
    services: Services,
    access_log: AccessLog,
    repository: str,
    tmp_path: Path,
) -> None:
    """A Dockerfile whose only step fails can be explained: it is not run."""
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(f"FROM {services.base}\nRUN exit 9\n")
    spec = ImageSpec.from_dockerfile(dockerfile, name="dry", context=tmp_path)
    async with open_session(live) as session:
        plan = await session.explain(spec)
    assert plan.image.tier == "build"
    name = repository.partition("/")[2]
    ours = [line for line in access_log.lines() if f"/{name}/" in line]
    assert {line.split()[0] for line in ours} <= {"HEAD", "GET"}


def test_11_settings_are_judged_before_anything_is_built(
    live_environ: dict[str, str], services: Services, tmp_path: Path
) -> None:
    """A setting that cannot be is an error before the first step."""
    (tmp_path / "Dockerfile").write_text(f"FROM {services.base}\n")
    done = subprocess.run(
        [sys.executable, "-m", "aweigh", "prepare", "Dockerfile", "."],
        cwd=tmp_path,
        env=live_environ | {"AWEIGH_STORE": "ftp://nowhere"},
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2, done.stderr
    assert "ftp" in done.stderr
    assert "building" not in done.stderr
    with pytest.raises(SettingsError):
        Settings(prune_probability=2.0)


async def test_12_each_rebuild_builds(live: Settings, services: Services) -> None:
    """Forced twice in one process is built twice."""
    heard = RecordingListener()
    spec = ImageSpec("light", base=services.base).with_env(NONCE=uuid.uuid4().hex)
    async with open_session(live, listener=heard) as session:
        for _ in range(2):
            assert (await session.ensure_image(spec, rebuild=True)).origin == "built"
    assert len(heard.of(BuildStarted)) == 2


async def test_15_builds_leave_no_threads(live: Settings, services: Services) -> None:
    """Five builds have no more threads than one, and the end has none of them."""

    def ours() -> int:
        return sum(
            not thread.name.startswith("asyncio_") for thread in threading.enumerate()
        )

    before = ours()
    counts = []
    async with open_session(live) as session:
        for _ in range(5):
            nonce = uuid.uuid4().hex
            spec = ImageSpec("light", base=services.base).with_env(NONCE=nonce)
            await session.ensure_image(spec)
            counts.append(ours())
    assert len(set(counts)) == 1, counts
    assert ours() <= before + 1  # one watches over the interpreter's end


async def test_20_an_edit_is_seen_by_the_next_call(
    alone: Settings, source: Path
) -> None:
    """Edited, edited back, four at once: each call answers for what is there."""
    async with open_session(alone) as session:
        first = await session.upload_bundle(source)
        (source / "main.py").write_text("2")
        four = await asyncio.gather(*(session.upload_bundle(source) for _ in range(4)))
        assert len({bundle.uri for bundle in four}) == 1
        assert sum(bundle.origin == "uploaded" for bundle in four) == 1
        assert four[0].digest != first.digest
        (source / "main.py").write_text("1")
        assert (await session.upload_bundle(source)).digest == first.digest


@pytest.mark.parametrize("name", ["cache", ".cache", "a [b]*", "#c", "deep/er"])
async def test_21_what_we_write_is_in_no_bundle(
    alone: Settings, source: Path, name: str
) -> None:
    """With cache and store inside the directory its bundle stays the same one."""
    inside = dataclasses.replace(
        alone, cache_dir=source / name, data_dir=source / f"{name} data"
    )
    inside.cache_dir.parent.mkdir(exist_ok=True)  # it would be news: a directory more
    answers = []
    for _ in range(3):
        async with open_session(inside) as session:
            answers.append(await session.upload_bundle(source))
    assert [bundle.origin for bundle in answers] == ["uploaded", "recalled", "recalled"]
    assert len({bundle.digest for bundle in answers}) == 1
    environ = environment() | {
        "AWEIGH_CACHE_DIR": str(inside.cache_dir),
        "AWEIGH_DATA_DIR": str(inside.data_dir),
    }
    listed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "aweigh", "bundle", str(source), "--dry-run", "--json"],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert len(json.loads(listed.stdout)["entries"]) == answers[0].files


# VmHWM and not getrusage: the latter also counts the test runner that forked it.
UPLOAD = """
import asyncio, re, sys
from pathlib import Path
import aweigh
bundle = asyncio.run(aweigh.upload_bundle(sys.argv[1]))
status = Path("/proc/self/status").read_text()
print(bundle.size, re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


def test_24_an_upload_needs_little_memory(tmp_path: Path) -> None:
    """400 MB go through in pieces: the process stays far below their size."""
    source = tmp_path / "src"
    source.mkdir()
    block = os.urandom(1 << 20)
    with (source / "data.bin").open("wb") as file:
        for _ in range(400):
            file.write(block)
    done = subprocess.run(
        [sys.executable, "-c", UPLOAD, str(source)],
        env=environment()
        | {
            "AWEIGH_CACHE_DIR": str(tmp_path / "cache"),
            "AWEIGH_DATA_DIR": str(tmp_path / "data"),
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=100,
    )
    size, kilobytes = map(int, done.stdout.split())
    assert size == 400 << 20
    assert kilobytes < 200 << 10


async def test_27_the_loop_is_awake_during_the_whole_of_prepare(
    live: Settings, services: Services, source: Path
) -> None:
    """Walking, digesting and packing 4,000 files does not hold up the loop."""
    for number in range(4000):
        folder = source / str(number % 40)
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.py").write_text(str(number) * 50)
    spec = ImageSpec("light", base=services.base).with_env(NONCE=uuid.uuid4().hex)
    spec = spec.with_files(str(source), "/app")
    stalls = []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            stalls.append(time.monotonic() - before)

    async with open_session(live) as session:
        watcher = asyncio.create_task(watch())
        began = time.monotonic()
        ready = await session.prepare(spec, source)
        took = time.monotonic() - began
        watcher.cancel()
    assert ready.bundle.files > 4000
    # Other threads and a busy machine hold it up as well: it is never most of the time.
    assert max(stalls) < max(0.25, took / 4)


async def test_35_cleaning_disturbs_nobody(
    alone: Settings, source: Path, tmp_path: Path
) -> None:
    """`aweigh cache clean` beside an open session: it goes on, and bundles stay."""
    async with open_session(alone) as session:
        first = await session.upload_bundle(source)
        environ = environment() | {
            "AWEIGH_CACHE_DIR": str(alone.cache_dir),
            "AWEIGH_DATA_DIR": str(alone.data_dir),
        }
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "aweigh", "cache", "clean"],
            env=environ,
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert int(done.stdout) >= 2
        await asyncio.sleep(1.1)  # what others forget is known a second later
        again = await session.upload_bundle(source)
        assert (again.origin, again.uri) == ("found", first.uri)
        assert (await session.upload_bundle(source)).origin == "recalled"
        await session.fetch_bundle(first.uri, tmp_path / "dest")


async def test_36_many_sessions_close_at_once(alone: Settings, source: Path) -> None:
    """Thirty sessions on one database, in one loop, open and close side by side."""

    async def use() -> str:
        async with open_session(alone) as session:
            return (await session.upload_bundle(source)).uri

    async with asyncio.timeout(10):
        uris = await asyncio.gather(*(use() for _ in range(30)))
    assert len(set(uris)) == 1
