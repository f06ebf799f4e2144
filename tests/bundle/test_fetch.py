"""Fetching: the same tree comes back, verified, at once or not at all."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aweigh.archive.compress import zstd_chunks
from aweigh.backends.objects.opening import open_store
from aweigh.bundle.bundle import Bundle, BundleUri, Origin
from aweigh.bundle.fetch import fetch
from aweigh.bundle.manifest import Manifest, bundle_digest
from aweigh.bundle.pack import manifest_object
from aweigh.errors import (
    AweighError,
    BundleNotFoundError,
    DamagedError,
    InvalidValueError,
    TreeError,
)
from aweigh.events import silent
from aweigh.oci.digest import Digest
from aweigh.testing.store import MemoryStore
from tests.bundle.helpers import (
    Bench,
    contents,
    file,
    objects_of,
    write_tree,
)

if TYPE_CHECKING:
    from tests.services import Services


@pytest.fixture
async def held(tmp_path: Path) -> tuple[MemoryStore, Bundle]:
    """Return a store that holds the small tree in tmp_path/code."""
    store = MemoryStore()
    return store, await Bench(store=store).upload(write_tree(tmp_path / "code"))


async def get(store: MemoryStore, bundle: Bundle, to: Path) -> Path:
    """Fetch without listening."""
    return await fetch(store, bundle.digest, to, listener=silent)


def left_beside(destination: Path) -> list[str]:
    """Return what a fetch left beside its destination, but for the locks."""
    names = [path.name for path in destination.parent.iterdir()]
    return [name for name in names if ".aweigh-" in name and name != ".aweigh-locks"]


async def test_the_same_tree_comes_back(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """Contents, exec bits, symlinks and empty directories survive, and the digest."""
    store, bundle = held
    path = await get(store, bundle, tmp_path / "deep" / "er" / "out")
    assert path == tmp_path / "deep" / "er" / "out"
    assert contents(path) == contents(tmp_path / "code")
    assert not left_beside(path)
    again = await Bench(store=store).upload(path)
    assert (again.uri, again.origin) == (bundle.uri, Origin.FOUND)


@pytest.mark.parametrize(
    "kind", ["file", "memory", pytest.param("s3", marks=pytest.mark.real)]
)
async def test_through_real_stores(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """Each kind of store takes a bundle, and another opening of it gives it back."""
    url = {"file": (tmp_path / "store").as_uri(), "memory": f"memory://{uuid.uuid4()}"}
    if kind == "s3":
        services: Services = request.getfixturevalue("services")
        monkeypatch.setenv("AWS_ENDPOINT_URL", services.s3_endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", services.s3_access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", services.s3_secret_key)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        url["s3"] = f"s3://{services.s3_bucket}/t/{uuid.uuid4()}"
    root = write_tree(tmp_path / "code")
    (root / "large.bin").write_bytes(os.urandom(20 << 20))
    async with open_store(url[kind], listener=silent) as store:
        bench = Bench(store=store)
        bundle = await bench.upload(root)
        assert bundle.origin is Origin.UPLOADED
        assert bundle.uri == f"{url[kind]}/bundles/{bundle.digest.hex}"
    uri = BundleUri.parse(bundle.uri)
    async with open_store(str(uri.store), listener=silent) as again:
        found = await Bench(store=again).upload(root)
        assert found.origin is Origin.FOUND
        path = await fetch(again, uri.digest, tmp_path / "out", listener=silent)
    assert contents(path) == contents(root)


async def test_a_second_fetch_asks_nobody(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """What is there already is reused by its marker, without the store."""
    store, bundle = held
    await get(store, bundle, tmp_path / "out")
    store.down = True
    assert await get(store, bundle, tmp_path / "out") == tmp_path / "out"


async def test_an_empty_directory_is_filled(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """An empty destination is as good as none; so is a symlink to one."""
    store, bundle = held
    (tmp_path / "out").mkdir()
    (tmp_path / "alias").symlink_to("out")
    assert await get(store, bundle, tmp_path / "alias") == tmp_path / "out"
    assert contents(tmp_path / "out") == contents(tmp_path / "code")


async def test_what_is_there_is_never_touched(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """Files of others, another bundle, a plain file: each is an error that says so."""
    store, bundle = held
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "plain").write_text("plain")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".aweigh-bundle").write_text(f"sha256:{'0' * 64}\n")
    (tmp_path / "odd" / ".aweigh-bundle").mkdir(parents=True)
    for name, told in [
        ("full", "not from this bundle"),
        ("plain", "else than a directory"),
        ("other", "another bundle"),
        ("odd", "unreadable"),
    ]:
        with pytest.raises(TreeError, match=told) as caught:
            await get(store, bundle, tmp_path / name)
        assert "empty directory" in caught.value.hint
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    assert store.requests["get"] == 0


async def test_a_bundle_that_is_not_there(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """An unknown digest is BundleNotFoundError and makes no directory."""
    store, _ = held
    with pytest.raises(BundleNotFoundError, match="0000"):
        await fetch(store, Digest("0" * 64), tmp_path / "out", listener=silent)
    assert not (tmp_path / "out").exists()


def files_below(root: Path) -> list[Path]:
    """Return everything below a directory that is no directory."""
    return [path for path in root.rglob("*") if not path.is_dir()]


Damage = Callable[[bytes], bytes | None]


def flipped(at: float) -> Damage:
    """Flip a bit somewhere."""

    def damage(body: bytes) -> bytes:
        index = min(int(len(body) * at), len(body) - 1)
        return body[:index] + bytes([body[index] ^ 4]) + body[index + 1 :]

    return damage


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "damage",
    [
        flipped(0.0),
        flipped(0.5),
        flipped(1.0),
        lambda body: body[: len(body) // 2],
        lambda _: b"",
        lambda _: b"<html>please log in</html>",
        lambda _: b"".join(zstd_chunks([b"not a tar" * 99], level=1)),
    ],
)
async def test_damaged_objects_are_refused(
    held: tuple[MemoryStore, Bundle], tmp_path: Path, which: int, damage: Damage
) -> None:
    """Flipped, cut, empty or foreign: the object is named and nothing is left."""
    store, bundle = held
    [pack], manifest = objects_of(store, bundle)
    name = (pack, manifest)[which]
    store.objects[name] = damage(store.objects[name]) or b""
    with pytest.raises(DamagedError, match=name):
        await get(store, bundle, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not left_beside(tmp_path / "out")


async def test_manifest_of_another_bundle_names_both_digests(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """A valid manifest under the wrong name is damage; both digests are told."""
    store, bundle = held
    entries = (file("a", b"a"),)
    stored = manifest_object(Manifest.of(entries))
    store.objects[f"bundles/{bundle.digest.hex}/manifest"] = stored
    with pytest.raises(DamagedError) as caught:
        await get(store, bundle, tmp_path / "out")
    assert str(bundle.digest) in str(caught.value)
    assert str(bundle_digest(entries)) in str(caught.value)


async def test_missing_pack_is_damage(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """A manifest without its pack says which object is missing."""
    store, bundle = held
    [pack], _ = objects_of(store, bundle)
    del store.objects[pack]
    with pytest.raises(DamagedError, match=f"{pack} .*missing"):
        await get(store, bundle, tmp_path / "out")


class SlowStore(MemoryStore):
    """Gives the pack in many small pieces with time between them."""

    async def get(self, name: str, /, *, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Iterate slowly."""
        for byte in self.objects[name][start:]:
            await asyncio.sleep(0.0005)
            yield bytes([byte])


async def test_cancelled_fetch_leaves_nothing(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """Cancelled at many moments, there is no destination and no staging."""
    store, bundle = held
    slow = SlowStore()
    slow.objects = store.objects
    done = 0
    for wait in (0.0, 0.001, 0.01, 0.05, 0.2, 0.35, 0.5):
        task = asyncio.create_task(get(slow, bundle, tmp_path / "out"))
        await asyncio.sleep(wait)
        task.cancel()
        try:
            await task
            done += 1
        except asyncio.CancelledError:
            assert not (tmp_path / "out").exists()
        assert not left_beside(tmp_path / "out")
    assert done < 3
    await get(store, bundle, tmp_path / "out")


async def test_cancelled_unpacking_stops(tmp_path: Path) -> None:
    """Cancelling while files are written stops that and cleans up."""
    root = tmp_path / "code"
    root.mkdir()
    for number in range(1200):
        (root / f"f{number}").write_bytes(b"x" * 3000)
    store = MemoryStore()
    bundle = await Bench(store=store).upload(root)
    task = asyncio.create_task(get(store, bundle, tmp_path / "out"))
    async with asyncio.timeout(20):
        while not list(tmp_path.glob(".out.aweigh-*/tree/f1*")):
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "out").exists()
    assert not left_beside(tmp_path / "out")


async def test_fetch_cancelled_at_any_moment(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """Half a millisecond later each time: whole, or not there, and nothing beside."""
    store, bundle = held
    for step in range(40):
        out = tmp_path / f"out{step}"
        task = asyncio.create_task(get(store, bundle, out))
        await asyncio.sleep(step * 0.0005)
        task.cancel()
        await asyncio.wait([task])
        if out.exists():
            assert contents(out) == contents(tmp_path / "code")
        assert not left_beside(out)


CHILD = """
import asyncio, sys
from pathlib import Path
from aweigh.backends.objects.opening import open_store
from aweigh.bundle.bundle import BundleUri
from aweigh.bundle.fetch import fetch
from aweigh.events import silent
async def main():
    uri = BundleUri.parse(sys.argv[1])
    async with open_store(str(uri.store), listener=silent) as store:
        if len(sys.argv) > 3:
            get = store.get
            async def slow(name, *, start=0):
                async for piece in get(name, start=start):
                    step = 16 if len(piece) < 9999 else 1 << 14
                    for start in range(0, len(piece), step):
                        await asyncio.sleep(0.02)
                        yield piece[start:start + step]
            store.get = slow
        await fetch(store, uri.digest, Path(sys.argv[2]), listener=silent)
asyncio.run(main())
"""


def start(*arguments: str) -> subprocess.Popen[bytes]:
    """Fetch in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", CHILD, *arguments])


def wait_for_staging(destination: Path) -> None:
    """Wait until somebody works beside a destination."""
    until = time.monotonic() + 20
    while not left_beside(destination):
        assert time.monotonic() < until
        time.sleep(0.01)


async def test_processes_fetch_once(tmp_path: Path) -> None:
    """Four processes that fetch to one place all succeed, and unpack it once."""
    root = write_tree(tmp_path / "code")
    for number in range(300):
        (root / f"f{number}").write_text(str(number))
    async with open_store((tmp_path / "s").as_uri(), listener=silent) as store:
        bundle = await Bench(store=store).upload(root)
    out = tmp_path / "out"
    children = [start(bundle.uri, str(out)) for _ in range(4)]
    inodes = set()
    while any(child.poll() is None for child in children):
        if out.exists():
            inodes.add(out.stat().st_ino)
            assert contents(out).keys() == contents(root).keys()
        await asyncio.sleep(0.01)
    assert [child.returncode for child in children] == [0, 0, 0, 0]
    assert len(inodes) <= 1
    assert contents(out) == contents(root)
    assert not left_beside(out)


async def test_killed_fetch_is_cleaned_up_by_the_next(
    tmp_path: Path,
) -> None:
    """Kill -9 leaves no destination; what it left beside is removed the next time."""
    root = write_tree(tmp_path / "code")
    async with open_store((tmp_path / "s").as_uri(), listener=silent) as store:
        bundle = await Bench(store=store).upload(root)
        out = tmp_path / "out"
        child = start(bundle.uri, str(out), "slow")
        await asyncio.to_thread(wait_for_staging, out)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert left_beside(out)
        assert not out.exists()
        await fetch(store, bundle.digest, out, listener=silent)
    assert contents(out) == contents(root)
    assert not left_beside(out)


async def left_behind(root: Path, out: Path, store: str) -> tuple[Bundle, list[str]]:
    """Kill a fetch when some packs have come, and name those."""
    async with open_store(store, listener=silent) as opened:
        bundle = await Bench(store=opened).upload(root)
    child = start(bundle.uri, str(out), "slow")
    until = time.monotonic() + 30
    while not (come := list(out.parent.glob(f".{out.name}.aweigh-*/packs/*"))) or all(
        path.suffix for path in come
    ):
        assert time.monotonic() < until
        await asyncio.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    come = list(out.parent.glob(f".{out.name}.aweigh-*/packs/*"))
    return bundle, [path.name for path in come if not path.suffix]


@pytest.mark.parametrize("then", ["go on", "damaged"])
async def test_killed_fetch_is_taken_up_again(tmp_path: Path, then: str) -> None:
    """The next fetch downloads only what is missing, and trusts nothing it finds."""
    root = tmp_path / "code"
    root.mkdir()
    (root / "a").write_text("small")
    for number in range(4):
        (root / f"f{number}").write_bytes(os.urandom(300 << 10))
    url = (tmp_path / "s").as_uri()
    bundle, come = await left_behind(root, tmp_path / "out", url)
    if then == "damaged":
        [kept] = tmp_path.glob(f".out.aweigh-*/packs/{come[0]}")
        kept.write_bytes(b"damaged")
    asked: list[str] = []
    async with open_store(url, listener=silent) as store:

        class Counting(MemoryStore):
            async def get(
                self, name: str, /, *, start: int = 0
            ) -> AsyncGenerator[bytes, None]:
                asked.append(name)
                async for piece in store.get(name, start=start):
                    yield piece

        counting = Counting(url)
        path = await fetch(counting, bundle.digest, tmp_path / "out", listener=silent)
    assert contents(path) == contents(root)
    again = {f"packs/{name}" for name in come} & set(asked)
    assert bool(again) == (then == "damaged")
    assert not left_beside(path)


async def test_what_was_left_after_the_last_step_is_removed(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """Killed between renaming and cleaning up: the next fetch cleans up, and no other.

    Whose staging it is does not matter, nor whether it can be read.
    """
    store, bundle = held
    out = await get(store, bundle, tmp_path / "out")
    for name in (f"{bundle.digest.hex[:8]}-x", "00000000-y"):
        (tmp_path / f".out.aweigh-{name}" / "packs").mkdir(parents=True)
        (tmp_path / f".out.aweigh-{name}" / "packs" / "half.part").write_bytes(b"half")
    (tmp_path / ".outer.aweigh-z").mkdir()
    store.down = True
    assert await get(store, bundle, out) == out
    assert left_beside(out) == [".outer.aweigh-z"]


async def test_live_staging_is_left_alone(tmp_path: Path) -> None:
    """A fetch that shares no locks does not remove what another one works in."""
    root = write_tree(tmp_path / "code")
    async with open_store((tmp_path / "s").as_uri(), listener=silent) as store:
        bundle = await Bench(store=store).upload(root)
        out = tmp_path / "out"
        child = start(bundle.uri, str(out), "slow")
        await asyncio.to_thread(wait_for_staging, out)
        await fetch(
            store, bundle.digest, out, listener=silent, locks=tmp_path / "locks"
        )
        assert left_beside(out)
        assert await asyncio.to_thread(child.wait) == 0
    assert contents(out) == contents(root)
    assert not left_beside(out)


async def test_unwritable_place_is_an_error(
    held: tuple[MemoryStore, Bundle], tmp_path: Path
) -> None:
    """A destination below a file cannot be, and is named."""
    store, bundle = held
    (tmp_path / "plain").write_text("x")
    with pytest.raises(AweighError, match="plain/out"):
        await get(store, bundle, tmp_path / "plain" / "out")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3://bucket/prefix",
        "s3://bucket/bundles/abc",
        f"s3://bucket/bundles/{'A' * 64}",
        f"/bundles/{'0' * 64}",
        f"ftp://host/bundles/{'0' * 64}",
    ],
)
def test_bad_uris_are_refused(text: str) -> None:
    """What upload_bundle never returned is no bundle URI."""
    with pytest.raises(InvalidValueError, match="no bundle URI") as caught:
        BundleUri.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "store",
    ["file:///srv/a%20b", "memory://x", "s3://bucket/bundles/x", "az://c", "gs://b/p"],
)
def test_uris_survive_the_round_trip(store: str) -> None:
    """A URI names its store and digest, whatever the prefix looks like."""
    text = f"{store}/bundles/{'0' * 64}"
    uri = BundleUri.parse(text)
    assert (str(uri), str(uri.store)) == (text, store)
    assert uri.digest == Digest("0" * 64)
