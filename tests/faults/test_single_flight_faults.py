"""Once, whatever happens to the one who works: rows 7 to 12 and 51 of the table.

A waiter has no deadline: a build may rightly take hours, and nobody but a person can
tell a slow holder from a stopped one. It says every five seconds whom it waits for, by
process id and purpose, it ends at once when it is cancelled, and it goes on the moment
the holder ends, continued or killed.
"""

# ruff: noqa: S311 - chance that can be repeated is wanted here

import asyncio
import fcntl
import os
import random
import signal
import sqlite3
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from aweigh import ImageSpec, Settings, open_session
from aweigh.backends.localdb import open_localdb
from aweigh.concurrency.file_lock import FileLock, Holder
from aweigh.concurrency.single_flight import SingleFlight
from aweigh.events import BuildStarted, silent
from aweigh.image.ensure import ImageEnsurer
from aweigh.image.image import Image
from aweigh.image.job import Destination
from aweigh.image.recall import ImagePolicy, image_key
from aweigh.memory import Memory, Table
from aweigh.testing.doubles import (
    FakeBuilder,
    FakeToolBox,
    RecordingListener,
)
from tests.conftest import AccessLog
from tests.faults.doubles import Registry, RegistryDouble
from tests.faults.support import (
    files_below,
    long_nap,
    program,
    programs,
    remembered,
    wait_until_ended,
    wait_until_running,
)
from tests.services import Services


def nap() -> str:
    """Return a command that takes 1.5 seconds and that no other test runs."""
    return f"sleep 1.5{uuid.uuid4().int % 10**12:012d}"


# Rows 8 to 10: several processes want one image.


def test_row_8_sixteen_processes_make_one_build(
    live_environ: dict[str, str],
    services: Services,
    nonce: str,
    access_log: AccessLog,
) -> None:
    """One asks, builds and pushes; fifteen wait for it, by name, and recall."""
    with programs(16, live_environ, "ensure", services.base, nonce, nap()) as crowd:
        pids = {each.wait_for("ready")["pid"] for each in crowd}
        access_log.mark()
        for each in crowd:
            each.go()
        codes = [each.finish(timeout=60) for each in crowd]
    assert codes == [0] * 16, [each.errors for each in crowd]
    assert [each.errors for each in crowd] == [""] * 16
    (builder,) = [each for each in crowd if each.of("BuildStarted")]
    images = [each.of("image")[0] for each in crowd]
    assert len({image["image"] for image in images}) == 1
    assert sorted(image["origin"] for image in images) == ["built"] + ["recalled"] * 15
    requests = [line for line in access_log.lines() if _name(live_environ) in line]
    asked = [line for line in requests if line.startswith("HEAD") and _tagged(line)]
    put = [line for line in requests if line.startswith("PUT") and _tagged(line)]
    assert len(asked) == 1
    assert len(put) == 1
    for each in crowd:
        if each is builder:
            continue
        first = each.of("Waited")[0]
        assert f"process {builder.pid} on" in first["holder"]
        assert first["purpose"].startswith("ensuring ")
        assert "/light:aw-" in first["purpose"]
    assert builder.pid in pids


def _name(environ: Mapping[str, str]) -> str:
    """Return the path of this test's own repositories."""
    return f"/v2/{environ['AWEIGH_REGISTRY'].partition('/')[2]}/"


def _tagged(request: str) -> bool:
    """Whether a request is about the image's own tag and not a platform's."""
    target = request.split()[1]
    return "/manifests/aw-" in target and "linux" not in target


def test_row_9_killed_builder_is_replaced_at_once(
    live_environ: dict[str, str], services: Services, nonce: str
) -> None:
    """Kill -9 of who builds: within moments another has its lock, and finishes."""
    command = nap()
    argv = ("ensure", services.base, nonce, command)
    with (
        program(live_environ, *argv) as first,
        programs(3, live_environ, *argv) as rest,
    ):
        first.wait_for("ready")
        first.go()
        wait_until_running(command)
        for each in rest:
            each.wait_for("ready")
            each.go()
            assert f"process {first.pid} on" in each.wait_for("Waited")["holder"]
        killed = time.monotonic()
        first.process.kill()
        pids = {each.pid for each in rest}
        while not (holder := _holder(live_environ)) or holder.pid not in pids:
            assert time.monotonic() - killed < 0.25
            time.sleep(0.001)
        assert [each.finish() for each in rest] == [0] * 3
    assert len([said for each in rest for said in each.of("BuildStarted")]) == 1
    images = [each.of("image")[0] for each in rest]
    assert sorted(image["origin"] for image in images) == ["built"] + ["recalled"] * 2
    assert len({image["image"] for image in images}) == 1


def _holder(environ: Mapping[str, str]) -> Holder | None:
    """Return who says that they hold the one lock of a cache directory."""
    (path,) = Path(environ["AWEIGH_CACHE_DIR"], "locks").glob("*.lock")
    return Holder.parse(path.read_bytes())


def test_row_10_stopped_holder_is_named_and_can_be_left(
    live_environ: dict[str, str], services: Services, nonce: str
) -> None:
    """Who waits for a stopped process says so, and Ctrl-C ends the wait at once."""
    command = nap()
    argv = ("ensure", services.base, nonce, command)
    with (
        program(live_environ, *argv) as holder,
        programs(2, live_environ, *argv) as two,
    ):
        holder.wait_for("ready")
        holder.go()
        wait_until_running(command)
        holder.process.send_signal(signal.SIGSTOP)
        for each in two:
            each.wait_for("ready")
            each.go()
            waited = each.wait_for("Waited")
            assert f"process {holder.pid} on" in waited["holder"]
        impatient, patient = two
        began = time.monotonic()
        impatient.process.send_signal(signal.SIGINT)
        assert impatient.finish(timeout=5) in (130, -signal.SIGINT)
        assert time.monotonic() - began < 1
        assert patient.process.poll() is None
        holder.process.send_signal(signal.SIGCONT)
        assert holder.finish() == 0
        assert patient.finish() == 0
    assert holder.of("image")[0]["origin"] == "built"
    assert patient.of("image")[0]["origin"] == "recalled"


def test_row_10_stopped_holder_that_is_killed_is_replaced(
    live_environ: dict[str, str], services: Services, nonce: str
) -> None:
    """Ending a stopped process is all it takes for the others to go on."""
    command = nap()
    argv = ("ensure", services.base, nonce, command)
    with program(live_environ, *argv) as holder, program(live_environ, *argv) as waiter:
        holder.wait_for("ready")
        holder.go()
        wait_until_running(command)
        holder.process.send_signal(signal.SIGSTOP)
        waiter.wait_for("ready")
        waiter.go()
        waiter.wait_for("Waited")
        holder.process.kill()
        assert waiter.finish() == 0
    assert waiter.of("image")[0]["origin"] == "built"


async def test_row_10_a_warm_answer_waits_for_nobody(
    live: Settings, services: Services, nonce: str
) -> None:
    """What is remembered is an answer while a stopped process holds the lock."""
    spec = ImageSpec("light", base=services.base).with_env(NONCE=nonce)
    async with open_session(live) as session:
        built = await session.ensure_image(spec)
        job = await session._parts.images.plan(spec, root=Path.cwd(), rebuild=True)
        key = image_key(job.scope, job.reference)
        lock = FileLock(live.cache_dir / "locks", key, purpose="in the way")
        async with lock.hold(listener=silent), asyncio.timeout(2):
            recalled = await session.ensure_image(spec)
    assert (recalled.origin, recalled.digest) == ("recalled", built.digest)


# Rows 11 and 12: killed in the middle.


def test_row_11_killed_in_a_build_leaves_nothing(
    live_environ: dict[str, str], services: Services, nonce: str, tmp_path: Path
) -> None:
    """The engine stops the step; there is no row, no tag, no file; the next builds."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environ = live_environ | {"TMPDIR": str(temporary)}
    command = long_nap()
    with program(environ, "ensure", services.base, nonce, command) as killed:
        killed.wait_for("ready")
        killed.go()
        wait_until_running(command)
        killed.process.kill()
        assert killed.finish() == -signal.SIGKILL
    assert wait_until_ended(command) < 2
    cache = Path(live_environ["AWEIGH_CACHE_DIR"])
    assert remembered(cache, Table.IMAGES) == 0
    assert files_below(temporary) == set()
    assert {Path(name).suffix for name in files_below(cache)} <= {".lock"}
    with program(environ, "ensure", services.base, nonce) as again:
        again.go()
        assert again.finish() == 0, again.errors
    assert again.of("image")[0]["origin"] == "built"


def test_row_12_killed_in_a_push_leaves_nothing(
    live_environ: dict[str, str],
    services: Services,
    nonce: str,
    access_log: AccessLog,
) -> None:
    """There is neither tag nor row; the next run pushes what is missing."""
    command = f"head -c 90000000 /dev/urandom > /{nonce}"
    with program(live_environ, "ensure", services.base, nonce, command) as killed:
        killed.wait_for("ready")
        access_log.mark()
        killed.go()
        killed.wait_for("PushProgressed")
        killed.process.kill()
        assert killed.finish() == -signal.SIGKILL
    name = _name(live_environ)
    assert not [line for line in access_log.lines() if line.startswith(f"PUT {name}")]
    assert remembered(Path(live_environ["AWEIGH_CACHE_DIR"]), Table.IMAGES) == 0
    with program(live_environ, "ensure", services.base, nonce, command) as again:
        again.go()
        assert again.finish(timeout=60) == 0, again.errors
    assert again.of("image")[0]["origin"] == "built"


def test_row_12_killed_in_an_upload_leaves_nothing(
    offline_environ: dict[str, str], tmp_path: Path
) -> None:
    """There is neither bundle nor row nor temporary file; the next run uploads."""
    source = tmp_path / "src"
    for number in range(40):
        (source / f"{number}.bin").write_bytes(os.urandom(1 << 20))
    with program(offline_environ, "upload", str(source)) as killed:
        killed.wait_for("UploadProgressed")
        killed.process.kill()
        assert killed.finish() == -signal.SIGKILL
    cache, store = tmp_path / "cache", tmp_path / "data" / "store"
    assert remembered(cache, Table.BUNDLES) == 0
    before = files_below(store)
    assert not [name for name in before if "manifest" in name]
    with program(offline_environ, "upload", str(source)) as again:
        assert again.finish() == 0, again.errors
    (bundle,) = again.of("bundle")
    assert bundle["origin"] == "uploaded"
    after = files_below(store)
    with program(offline_environ, "upload", str(source)) as third:
        assert third.finish() == 0
    assert third.of("bundle")[0]["origin"] == "recalled"
    # Packs and one manifest, and nothing that was cut.
    assert {name.partition("/")[0] for name in after} == {"bundles", "packs"}
    assert len([name for name in after if name.startswith("bundles/")]) == 1


# Rows 7 and 51: cancelled callers.


async def test_row_7_random_callers_leave_a_real_build(
    live: Settings, services: Services, nonce: str
) -> None:
    """Of twelve callers some leave at any moment; one build serves the others."""
    heard = RecordingListener()
    spec = ImageSpec("light", base=services.base).with_env(NONCE=nonce)
    spec = spec.with_run(nap())
    async with open_session(live, listener=heard) as session:
        calls = [asyncio.create_task(session.ensure_image(spec)) for _ in range(12)]
        leaving = random.Random(7).sample(calls[1:], 6) + calls[:1]
        for call in leaving:
            await asyncio.sleep(0.15)
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    left = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    stayed = [outcome for outcome in outcomes if isinstance(outcome, Image)]
    assert [type(error) for error in left] == [asyncio.CancelledError] * 7
    assert len({image.digest for image in stayed}) == 1
    assert len(stayed) == 5
    assert len(heard.of(BuildStarted)) <= 1
    assert len([e for e in heard.events if type(e).__name__ == "ImagePushed"]) == 1


class Bench:
    """A real local database and real locks, with a builder that counts."""

    def __init__(self, folder: Path, db: Memory) -> None:
        self.folder = folder
        self.db = db
        self.registry = Registry()
        self.builder = FakeBuilder(self.registry)
        self.flights = SingleFlight[Image]()
        self.ensurer = ImageEnsurer(
            destination=Destination(registry="r.example/acme"),
            policy=ImagePolicy(fresh_for=60, ttl=600),
            toolbox=FakeToolBox(RegistryDouble(self.registry), self.builder),
            flights=self.flights,
            locks=folder / "locks",
            listener=silent,
        )

    async def ensure(self, nonce: str) -> Image:
        """Ensure an image of this nonce alone."""
        return await self.ensurer.ensure(
            ImageSpec("light", base="base.example/python:3").with_env(NONCE=nonce),
            root=self.folder,
            memory=self.db,
        )

    def is_clean(self) -> bool:
        """Whether nothing runs, no lock is held and no transaction is open."""
        for path in (self.folder / "locks").glob("*.lock"):
            with path.open("rb") as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with closing(sqlite3.connect(self.folder / "aweigh-v1.db", timeout=1)) as other:
            other.execute("BEGIN IMMEDIATE")
        return len(self.flights) == 0


async def test_row_51_cancelled_at_every_await(tmp_path: Path) -> None:
    """Wherever a call is cancelled, the next one is right and nothing is held."""
    async with open_localdb(tmp_path, listener=silent) as db:
        bench = Bench(tmp_path, db)
        await bench.ensure("makes the database")
        finished = 0
        for steps in range(100):
            nonce = f"step {steps}"
            call = asyncio.create_task(bench.ensure(nonce))
            for _ in range(steps):
                # Threads get a moment as well: an await of theirs is a step, too.
                await asyncio.sleep(0 if steps % 3 else 0.0005)
            call.cancel()
            (outcome,) = await asyncio.gather(call, return_exceptions=True)
            finished += isinstance(outcome, Image)
            assert bench.is_clean()
            image = await bench.ensure(nonce)
            assert bench.registry.holds(image.reference, str(image.digest))
            if isinstance(outcome, Image):
                assert image.digest == outcome.digest
    assert 0 < finished < 100


async def test_row_51_storm_of_cancellations(tmp_path: Path) -> None:
    """A thousand calls, most of them cancelled: no other caller has an error."""
    chance = random.Random(51)
    async with open_localdb(tmp_path, listener=silent) as db:
        bench = Bench(tmp_path, db)
        calls = []
        for number in range(1000):
            call = asyncio.create_task(bench.ensure(f"image {number % 40}"))
            calls.append(call)
            if chance.random() < 0.7:
                delay = chance.random() * 0.05
                asyncio.get_running_loop().call_later(delay, call.cancel)
            if number % 50 == 0:
                await asyncio.sleep(0.01)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        kinds = {type(outcome) for outcome in outcomes}
        assert kinds == {Image, asyncio.CancelledError}
        assert bench.is_clean()
        images = [outcome for outcome in outcomes if isinstance(outcome, Image)]
        assert all(
            bench.registry.holds(image.reference, str(image.digest)) for image in images
        )
        for number in range(40):
            await bench.ensure(f"image {number}")
        # Some were begun anew after a cancellation; none was pushed twice.
        pushed = {str(request.reference) for request in bench.builder.requests}
        assert len(pushed) == 40
        assert db.stats.lost == 0
