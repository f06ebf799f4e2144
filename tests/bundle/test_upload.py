"""Uploading: recalled, found or uploaded, and what happens when things move."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.backends.objects.opening import open_store
from aweigh.bundle.bundle import Origin
from aweigh.bundle.fetch import fetch
from aweigh.bundle.pack import Packing
from aweigh.bundle.recall import BundlePolicy
from aweigh.bundle.store import Held
from aweigh.errors import (
    ChangedError,
    StoreError,
    StoreUnavailableError,
    TreeError,
)
from aweigh.events import (
    BundleUploaded,
    Event,
    FileSkipped,
    TreeScanned,
    UploadProgressed,
    Warned,
    silent,
)
from aweigh.memory import Table
from aweigh.oci.digest import Digest
from aweigh.testing.store import MemoryStore
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan
from tests.bundle.helpers import (
    Bench,
    contents,
    entries_of,
    objects_of,
    write_tree,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a small tree."""
    return write_tree(tmp_path / "code")


async def test_first_upload_puts_pack_then_manifest(tree: Path) -> None:
    """A new bundle is uploaded whole, and says where it is and what it took."""
    store = MemoryStore()
    bench = Bench(store=store)
    bundle = await bench.upload(tree)
    [pack], manifest = objects_of(store, bundle)
    assert list(store.objects) == [pack, manifest]
    assert bundle.origin is Origin.UPLOADED
    assert bundle.uploaded_bytes == sum(map(len, store.objects.values()))
    entries = entries_of(store, bundle)
    assert bundle.files == len(entries) == 6
    assert bundle.size == sum(entry.size for entry in entries)
    assert str(bundle) == f"memory://test/bundles/{bundle.digest.hex}"


async def test_events_tell_the_story(tree: Path) -> None:
    """Scan, progress up to the last byte, and the result are heard."""
    os.mkfifo(tree / "pipe")
    bench = Bench()
    bundle = await bench.upload(tree)
    [skipped] = bench.told(FileSkipped)
    assert skipped == FileSkipped(path="pipe", kind="fifo")
    [scanned] = bench.told(TreeScanned)
    assert isinstance(scanned, TreeScanned)
    assert (scanned.files, scanned.size) == (bundle.files, bundle.size)
    last = bench.told(UploadProgressed)[-1]
    assert isinstance(last, UploadProgressed)
    assert last.done == last.total == bundle.size
    assert isinstance(bench.events[-1], BundleUploaded)


def many(root: Path, files: int = 400) -> Path:
    """Write a tree of many packs, whose files do not compress."""
    for number in range(files):
        folder = root / f"d{number // 50}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04}").write_bytes(os.urandom(4000))
    return root


async def test_an_edit_sends_its_pack_and_asks_for_no_other(tmp_path: Path) -> None:
    """Right after an upload, only what is new is asked for and sent."""
    store = MemoryStore()
    bench = Bench(store=store)
    root = many(tmp_path / "code")
    first = await bench.upload(root)
    assert len(objects_of(store, first)[0]) > 8
    heads, puts = store.requests["head"], store.requests["put"]
    (root / "d3" / "0160").write_bytes(os.urandom(4004))
    second = await bench.upload(root)
    assert second.origin is Origin.UPLOADED
    assert second.uploaded_bytes < 256 << 10
    assert store.requests["put"] == puts + 2
    assert store.requests["head"] == heads + 3
    away = await fetch(store, second.digest, tmp_path / "out", listener=silent)
    assert contents(away) == contents(root)


@pytest.mark.parametrize("whose", ["another machine", "after an hour", "emptied"])
async def test_an_edit_asks_for_everything_when_that_is_unknown(
    tmp_path: Path, whose: str
) -> None:
    """What was not asked for lately, or may be gone, is asked for and put back."""
    store = MemoryStore()
    bench = Bench(store=store)
    root = many(tmp_path / "code")
    first = await bench.upload(root)
    packs, manifest = objects_of(store, first)
    (root / "d3" / "0160").write_bytes(b"edited")
    match whose:
        case "another machine":
            bench.memory.rows.clear()
        case "after an hour":
            bench.now += 3601
        case _:
            del store.objects[manifest]
    del store.objects[packs[-1]]
    second = await bench.upload(root)
    assert packs[-1] in objects_of(store, second)[0]
    away = await fetch(store, second.digest, tmp_path / "out", listener=silent)
    assert contents(away) == contents(root)


async def test_remembered_packs_grow_no_younger(tmp_path: Path) -> None:
    """Edit by edit, the store is asked for everything once an hour all the same."""
    store = MemoryStore()
    bench = Bench(store=store)
    root = many(tmp_path / "code", files=200)
    packs = objects_of(store, await bench.upload(root))[0]
    del store.objects[packs[-1]]
    for number in range(3):
        bench.now += 1500
        (root / "d0" / "0000").write_text(str(number))
        bundle = await bench.upload(root)
    assert packs[-1] in store.objects
    away = await fetch(store, bundle.digest, tmp_path / "out", listener=silent)
    assert contents(away) == contents(root)


KILLED = """
import asyncio, sys
from pathlib import Path
from aweigh.backends.objects.opening import open_store
from tests.bundle.helpers import Bench
async def main():
    async with open_store(sys.argv[1], listener=lambda event: None) as store:
        print("go", flush=True)
        await Bench(store=store).upload(Path(sys.argv[2]))
asyncio.run(main())
"""


async def test_killed_uploads_leave_nothing_for_ever(tmp_path: Path) -> None:
    """Kill -9 at many moments: no bundle is there in part, the next run cleans up."""
    root = many(tmp_path / "code", files=600)
    (root / "large").write_bytes(os.urandom(20 << 20))
    url = (tmp_path / "store").as_uri()
    for number in range(8):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, url, str(root), stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        await child.stdout.readline()
        await asyncio.sleep(number * 0.04)
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        manifests = list((tmp_path / "store").glob("bundles/*/manifest"))
        async with open_store(url, listener=silent) as store:
            for found in manifests:
                digest = Digest(found.parent.name)
                await fetch(store, digest, tmp_path / digest.hex, listener=silent)
        (root / "d0" / "0000").write_text(str(number))
    async with open_store(url, listener=silent) as store:
        bundle = await Bench(store=store).upload(root)
        path = await fetch(store, bundle.digest, tmp_path / "out", listener=silent)
    assert contents(path) == contents(root)
    left = [found.name for found in (tmp_path / "store").iterdir()]
    assert sorted(left) == ["bundles", "packs"]


async def test_who_has_nothing_to_put_cleans_up_too(tmp_path: Path) -> None:
    """Killed between the last name and the end: the next upload finds all, and that."""
    root = write_tree(tmp_path / "code")
    place = tmp_path / "store"
    async with open_store(place.as_uri(), listener=silent) as store:
        await Bench(store=store).upload(root)
    (place / ".aweigh-put-0123").write_bytes(b"left")
    async with open_store(place.as_uri(), listener=silent) as store:
        assert (await Bench(store=store).upload(root)).origin is Origin.FOUND
    assert not (place / ".aweigh-put-0123").exists()


async def test_two_bundles_share_packs(tmp_path: Path) -> None:
    """Another directory with almost the same files sends almost nothing."""
    store = MemoryStore()
    root = many(tmp_path / "code")
    first = await Bench(store=store).upload(root)
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy" / "d7" / "more").write_text("more")
    second = await Bench(store=store).upload(tmp_path / "copy")
    assert second.uploaded_bytes < first.uploaded_bytes / 4


async def test_large_files_are_streamed(tmp_path: Path) -> None:
    """Files of every size arrive, and progress ends at the sum of them."""
    root = tmp_path / "code"
    root.mkdir()
    for size in (0, 1, 200 << 10, 300 << 10, 5 << 20, 9 << 20):
        (root / f"f{size}").write_bytes(os.urandom(size))
    store = MemoryStore()
    bench = Bench(store=store)
    bundle = await bench.upload(root)
    done = [event.done for event in bench.told(UploadProgressed)]  # type: ignore[attr-defined]
    assert done == sorted(done)
    assert done[-1] == bundle.size
    away = await fetch(store, bundle.digest, tmp_path / "out", listener=silent)
    assert contents(away) == contents(root)


async def test_fresh_row_answers_without_the_store(tree: Path) -> None:
    """Within fresh_for the store is not even opened, and nothing is written."""
    bench = Bench()
    first = await bench.upload(tree)
    opened, rows = bench.opened, dict(bench.memory.rows)
    again = await bench.upload(tree)
    assert again == replace(first, origin=Origin.RECALLED, uploaded_bytes=0)
    assert bench.opened == opened
    bundles = [row for (table, _), row in rows.items() if table is Table.BUNDLES]
    assert all(row in bench.memory.rows.values() for row in bundles)


async def test_stale_row_is_renewed_by_the_store(tree: Path) -> None:
    """After fresh_for the store is asked once; its yes counts from then on."""
    store = MemoryStore()
    bench = Bench(store=store)
    await bench.upload(tree)
    puts = store.requests["put"]
    bench.now += 3601
    assert (await bench.upload(tree)).origin is Origin.RECALLED
    asked = store.requests["head"]
    bench.now += 3600
    assert (await bench.upload(tree)).origin is Origin.RECALLED
    assert store.requests["head"] == asked
    assert store.requests["put"] == puts


@pytest.mark.parametrize("which", [0, 1])
async def test_object_deleted_behind_the_row_is_put_again(
    tree: Path, which: int
) -> None:
    """A stale row does not vouch for what the store says is gone."""
    store = MemoryStore()
    bench = Bench(store=store)
    bundle = await bench.upload(tree)
    before = dict(store.objects)
    [pack], manifest = objects_of(store, bundle)
    store.objects.pop((pack, manifest)[which])
    bench.now += 3601
    again = await bench.upload(tree)
    assert again.origin is Origin.UPLOADED
    assert store.objects == before


async def test_refuted_row_is_forgotten_at_once(tree: Path) -> None:
    """When the store says gone and then dies, the old row is no answer any more."""
    store = MemoryStore()
    bench = Bench(store=store)
    await bench.upload(tree)
    store.objects.clear()
    bench.now += 3601

    class Dying(MemoryStore):
        async def put(
            self,
            name: str,
            chunks: AsyncIterator[bytes] | bytes,
            /,
            *,
            size: int | None,
        ) -> bool:
            self.down = True
            return await super().put(name, chunks, size=size)

    bench.store = Dying()
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await bench.upload(tree)


async def test_stale_row_answers_while_the_store_is_down(tree: Path) -> None:
    """An unavailable store leaves the old answer standing, with a warning."""
    store = MemoryStore()
    bench = Bench(store=store)
    first = await bench.upload(tree)
    store.down = True
    bench.now += 3601
    again = await bench.upload(tree)
    assert (again.uri, again.origin) == (first.uri, Origin.RECALLED)
    [warned] = bench.told(Warned)
    assert isinstance(warned, Warned)
    assert "down" in warned.message


async def test_stale_row_answers_when_the_store_hangs(tree: Path) -> None:
    """A store that says nothing is given revalidate_timeout, not more."""
    store = MemoryStore()
    bench = Bench(store=store, policy=BundlePolicy(revalidate_timeout=0.05))
    await bench.upload(tree)
    store.delay = 60
    bench.now += 3601
    async with asyncio.timeout(5):
        assert (await bench.upload(tree)).origin is Origin.RECALLED
    assert "in time" in str(bench.told(Warned)[0])


async def test_without_a_row_a_dead_store_is_an_error(tree: Path) -> None:
    """Nothing remembered and nobody to ask: no guess, but an error with a hint."""
    store = MemoryStore()
    store.down = True
    bench = Bench(store=store)
    with pytest.raises(StoreUnavailableError) as caught:
        await bench.upload(tree)
    assert caught.value.hint
    assert not bench.memory.rows


async def test_expired_and_future_rows_are_asked_about(tree: Path) -> None:
    """A row past its ttl is a miss; one from the future is not fresh."""
    store = MemoryStore()
    bench = Bench(store=store)
    await bench.upload(tree)
    bench.now += 31 * 86400
    assert (await bench.upload(tree)).origin is Origin.FOUND
    heads = store.requests["head"]
    bench.now -= 86400
    assert (await bench.upload(tree)).origin is Origin.RECALLED
    assert store.requests["head"] > heads


async def test_a_wrong_remembered_digest_names_nothing(tree: Path) -> None:
    """A tree whose digest is remembered wrongly is read again, not put under it."""
    store = MemoryStore()
    bench = Bench(store=store)
    bundle = await bench.upload(tree)
    for key, row in bench.memory.rows.items():
        if key[0] is Table.TREES:
            wrong = bytes(32) + row.value[32:]
            bench.memory.rows[key] = replace(row, value=wrong)
    again = await bench.upload(tree)
    assert again.uri == bundle.uri
    assert len(store.objects) == 2


async def test_damaged_rows_are_misses(tree: Path) -> None:
    """A row that is no JSON, or of another bundle, answers nothing."""
    bench = Bench()
    await bench.upload(tree)
    for value in (b"\xff", b"{}", b'{"uri": "memory://other/bundles/00"}'):
        for key, row in bench.memory.rows.items():
            bench.memory.rows[key] = replace(row, value=value)
        assert (await bench.upload(tree)).origin is Origin.FOUND


async def test_row_of_another_bundle_is_no_answer(tree: Path, tmp_path: Path) -> None:
    """A row that was swapped for another bundle's is noticed."""
    bench = Bench()
    await bench.upload(tree)
    other = write_tree(tmp_path / "other")
    (other / "more.py").write_text("y = 2\n")
    bundle = await bench.upload(other)
    rows = [key for key in bench.memory.rows if key[0] is Table.BUNDLES]
    swapped = [bench.memory.rows[key].value for key in reversed(rows)]
    for key, value in zip(rows, swapped, strict=True):
        bench.memory.rows[key] = replace(bench.memory.rows[key], value=value)
    again = await bench.upload(other)
    assert (again.uri, again.origin) == (bundle.uri, Origin.FOUND)


async def test_offline_never_asks_the_store(tree: Path) -> None:
    """Offline, a stale row answers and a missing one is an error."""
    bench = Bench()
    await bench.upload(tree)
    opened = bench.opened
    bench.now += 86400
    bench.policy = BundlePolicy(offline=True)
    assert (await bench.upload(tree)).origin is Origin.RECALLED
    (tree / "new.py").write_text("z = 3\n")
    with pytest.raises(StoreUnavailableError, match="offline"):
        await bench.upload(tree)
    assert bench.opened == opened


async def test_another_machine_finds_it(tree: Path) -> None:
    """With empty memory the same tree is found by asking, not uploaded again."""
    store = MemoryStore()
    await Bench(store=store).upload(tree)
    puts = store.requests["put"]
    bundle = await Bench(store=store).upload(tree)
    assert (bundle.origin, bundle.uploaded_bytes) == (Origin.FOUND, 0)
    assert store.requests["put"] == puts


async def test_changed_exec_bit_is_another_bundle(tree: Path) -> None:
    """Chmod +x changes the digest; touching a file does not."""
    bench = Bench()
    first = await bench.upload(tree)
    os.utime(tree / "main.py", (1, 1))
    assert (await bench.upload(tree)).uri == first.uri
    (tree / "main.py").chmod(0o755)
    assert (await bench.upload(tree)).uri != first.uri


async def test_concurrent_uploads_put_once(tree: Path) -> None:
    """Twenty coroutines with one tree make two puts, and one of them says so."""
    store = MemoryStore()
    store.delay = 0.02
    bench = Bench(store=store)
    uploader = bench.uploader()
    results = await asyncio.gather(
        *(
            uploader.upload(tree, memory=bench.memory, size_limit=None)
            for _ in range(20)
        )
    )
    assert store.requests["put"] == 2
    origins = [uploaded.bundle.origin for uploaded in results]
    assert origins.count(Origin.UPLOADED) == 1
    assert origins.count(Origin.FOUND) == 19
    assert sum(uploaded.bundle.uploaded_bytes > 0 for uploaded in results) == 1


async def test_two_uploaders_with_locks_put_once(tree: Path, tmp_path: Path) -> None:
    """Uploaders that share nothing but lock files and the store do it once."""
    store = MemoryStore()
    store.delay = 0.02
    benches = [Bench(store=store, locks=tmp_path / "locks") for _ in range(3)]
    bundles = await asyncio.gather(*(bench.upload(tree) for bench in benches))
    assert store.requests["put"] == 2
    assert sorted(bundle.origin for bundle in bundles) == ["found", "found", "uploaded"]


async def test_losing_the_race_is_success(tree: Path) -> None:
    """A put that finds the object there is as good as one that made it."""
    full = MemoryStore()
    await Bench(store=full).upload(tree)

    class Racing(MemoryStore):
        async def put(
            self,
            name: str,
            chunks: AsyncIterator[bytes] | bytes,
            /,
            *,
            size: int | None,
        ) -> bool:
            self.objects[name] = full.objects[name]
            return await super().put(name, chunks, size=size)

    bundle = await Bench(store=Racing()).upload(tree)
    assert (bundle.origin, bundle.uploaded_bytes) == (Origin.FOUND, 0)


async def test_object_that_comes_and_goes_is_an_error(tree: Path) -> None:
    """'Already there' followed by 'not there' is not taken for success."""

    class Fickle(MemoryStore):
        async def put(
            self,
            name: str,
            chunks: AsyncIterator[bytes] | bytes,
            /,
            *,
            size: int | None,
        ) -> bool:
            await super().put(name, chunks, size=size)
            del self.objects[name]
            return False

    with pytest.raises(StoreUnavailableError, match="is gone"):
        await Bench(store=Fickle()).upload(tree)


def editing(path: Path, *, times: int) -> tuple[list[int], object]:
    """Make a listener that edits a file right after each of the first scans."""
    edits: list[int] = []

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned) and len(edits) < times:
            edits.append(len(edits))
            path.write_text(f"edited {len(edits):03}\n")

    return edits, listen


async def test_file_edited_before_packing_is_noticed(tree: Path) -> None:
    """What is packed is what was hashed: an edit between the two starts over."""
    store = MemoryStore()
    edits, listen = editing(tree / "main.py", times=2)
    bench = Bench(store=store, also=listen)  # type: ignore[arg-type]
    bundle = await bench.upload(tree)
    assert len(edits) == 2
    assert bundle.digest == (await Bench().upload(tree)).digest
    packs, manifest = objects_of(store, bundle)
    assert set(store.objects) == {*packs, manifest}


async def test_file_of_the_same_size_and_times_is_noticed(tree: Path) -> None:
    """An edit that hides from stat is found by its content, and not for ever."""
    stat = (tree / "main.py").stat()
    bench = Bench()
    await bench.upload(tree)
    (tree / "main.py").write_text("print('HELLO')\n")
    os.utime(tree / "main.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    fresh = await Bench().upload(tree)
    assert (await bench.upload(tree)).digest == fresh.digest


async def test_endlessly_changing_file_is_named(tree: Path) -> None:
    """After three restarts the upload gives up and says which file moves."""
    store = MemoryStore()
    edits, listen = editing(tree / "main.py", times=1000)
    bench = Bench(store=store, also=listen)  # type: ignore[arg-type]
    with pytest.raises(ChangedError, match=r"'main\.py' in .* changed each of the 4"):
        await bench.upload(tree)
    assert len(edits) == 4
    assert not store.objects
    assert not bench.memory.rows


async def test_vanished_file_starts_over(tree: Path) -> None:
    """A file that is deleted before it is packed is not in the bundle."""

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            (tree / "main.py").unlink(missing_ok=True)

    bundle = await Bench(also=listen).upload(tree)
    assert bundle.files == 5


async def test_empty_tree_is_refused(tmp_path: Path) -> None:
    """Nothing to bundle is an error whose hint names the rules that left it empty."""
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_bytes(b"1")
    with pytest.raises(TreeError, match="no files") as caught:
        await Bench().upload(tmp_path)
    assert "__pycache__" in caught.value.hint
    (tmp_path / "plain").mkdir()
    with pytest.raises(TreeError) as caught:
        await Bench().upload(tmp_path / "plain")
    assert "directory" in caught.value.hint


async def test_names_that_collide_elsewhere_are_warned_of(tree: Path) -> None:
    """Paths that differ only in case upload with a warning."""
    (tree / "MAIN.py").write_text("x")
    bench = Bench()
    await bench.upload(tree)
    [warned] = bench.told(Warned)
    assert "'MAIN.py' and 'main.py'" in str(warned)


async def test_followed_symlinks_are_packed_as_files(
    tree: Path, tmp_path: Path
) -> None:
    """With follow, what a link names is in the bundle in its place."""
    (tmp_path / "outside.txt").write_text("outside\n")
    (tree / "out").symlink_to(tmp_path / "outside.txt")
    store = MemoryStore()
    bundle = await Bench(store=store).upload(tree, follow=True)
    entries = entries_of(store, bundle)
    sizes = {entry.path: entry.size for entry in entries}
    assert sizes["out"] == len("outside\n")
    assert sizes["link"] == sizes["pkg/data.bin"]


async def test_secrets_stay_home(tree: Path) -> None:
    """What the built-in rules leave out is in no object and in no row."""
    canary = "hunter2-canary"
    (tree / ".env").write_text(f"TOKEN={canary}\n")
    (tree / ".git").mkdir()
    (tree / ".git" / "config").write_text(canary)
    store = MemoryStore()
    bench = Bench(store=store)
    bundle = await bench.upload(tree)
    entries = entries_of(store, bundle)
    assert not [entry.path for entry in entries if entry.path.startswith(".git")]
    assert ".env" not in [entry.path for entry in entries]
    assert not any(canary.encode() in row.value for row in bench.memory.rows.values())


async def test_cancelled_upload_leaves_no_bundle(tree: Path) -> None:
    """Cancelled at any moment, there is no manifest and nothing is remembered."""
    for wait in (0.0, 0.02, 0.07, 0.13):
        store = MemoryStore()
        store.delay = 0.06
        bench = Bench(store=store)
        task = asyncio.create_task(bench.upload(tree))
        await asyncio.sleep(wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [name for name in store.objects if name.endswith("manifest")]
        assert not bench.memory.rows
    async with asyncio.timeout(10):
        # A thread that was reading a file closes it after that piece.
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)


async def test_crash_between_pack_and_manifest_is_resumed(tree: Path) -> None:
    """A pack without manifest is no bundle; the next upload adds what is missing."""
    store = MemoryStore()
    bundle = await Bench(store=store).upload(tree)
    _, manifest = objects_of(store, bundle)
    del store.objects[manifest]
    again = await Bench(store=store).upload(tree)
    assert again.origin is Origin.UPLOADED
    assert again.uploaded_bytes == len(store.objects[manifest])


def pack_of(root: Path) -> bytes:
    """Return the bytes of a tree's pack."""
    tree = scan(root, Rules())
    return b"".join(Packing(tree, list(tree.entries.rows())))


def test_same_tree_same_pack(tmp_path: Path) -> None:
    """Directory, order of creation, umask and times do not show in the bytes."""
    one = write_tree(tmp_path / "one")
    old = os.umask(0o077)
    try:
        other = tmp_path / "deep" / "other"
        (other / "pkg").mkdir(parents=True)
        (other / "pkg" / "data.bin").write_bytes(bytes(range(256)) * 40)
        write_tree(tmp_path / "spare")
        for path in sorted((tmp_path / "spare").rglob("*"), reverse=True):
            into = other / path.relative_to(tmp_path / "spare")
            if path.is_dir() and not path.is_symlink():
                into.mkdir(exist_ok=True)
            elif not into.exists() or path.is_symlink():
                into.parent.mkdir(parents=True, exist_ok=True)
                path.rename(into)
        os.utime(other / "main.py", (1, 1))
    finally:
        os.umask(old)
    assert pack_of(one) == pack_of(one) == pack_of(other)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_packs_the_same_bytes() -> None:
    """Owner and user id do not show either."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        digests = [_pack_as(write_tree(Path(folder) / "a"), owner=0, user=65534)]
        digests += [_pack_as(write_tree(Path(folder) / "b"), owner=65534, user=0)]
    assert digests[0] == digests[1] != ""


def _pack_as(root: Path, *, owner: int, user: int) -> str:
    code = (
        "import os, sys, hashlib; from pathlib import Path\n"
        "from aweigh.bundle.pack import Packing\n"
        "from aweigh.tree.rules import Rules; from aweigh.tree.scan import scan\n"
        "root = Path('.')\n"
        "os.chdir(sys.argv[1]); os.setuid(int(sys.argv[2]))\n"
        "tree = scan(root, Rules())\n"
        "pack = b''.join(Packing(tree, list(tree.entries.rows())))\n"
        "print(hashlib.sha256(pack).hexdigest())"
    )
    for path in [root, *root.rglob("*")]:
        os.chown(path, owner, owner, follow_symlinks=False)
    ran = subprocess.run(
        [sys.executable, "-c", code, str(root), str(user)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert not ran.returncode, ran.stderr
    return ran.stdout


async def test_explain_says_what_upload_would_do(tree: Path) -> None:
    """Each answer has its tier, and explaining changes nothing."""
    store = MemoryStore()
    bench = Bench(store=store)

    async def tier() -> str:
        uploader = bench.uploader()
        plan = await uploader.explain(tree, memory=bench.memory, size_limit=None)
        assert plan.reason
        return plan.tier

    assert await tier() == "upload"
    assert not store.objects
    assert not bench.memory.rows
    bundle = await bench.upload(tree)
    assert await tier() == "cache"
    bench.now += 3601
    assert await tier() == "store"
    store.down = True
    assert await tier() == "cache"
    bench.policy = BundlePolicy(offline=True)
    assert await tier() == "cache"
    bench.memory.rows.clear()
    assert await tier() == "undecided"
    bench.policy = BundlePolicy()
    assert await tier() == "undecided"
    store.down = False
    assert await tier() == "store"
    assert bundle.files == 6


async def test_refusal_of_the_store_is_told(tree: Path) -> None:
    """A store that refuses for good is an error, whatever asked first."""

    class Refusing(MemoryStore):
        async def head(self, name: str, /) -> Held | None:
            raise StoreError(f"no {name}", hint="ask for access")

    with pytest.raises(StoreError, match="no bundles"):
        await Bench(store=Refusing()).upload(tree)


def test_warm_path_imports_no_backend() -> None:
    """What a remembered bundle needs loads no store, network or task library."""
    code = (
        "import sys, aweigh.bundle.upload\n"
        "heavy = {'obstore', 'aiohttp', 'anyio', 'aiofiles', 'rich', 'isal',"
        " 'zstandard'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "[]\n"
