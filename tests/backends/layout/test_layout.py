"""An image layout holds what it was given, whole or not at all."""

import asyncio
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from aweigh.backends.layout import ImageLayout, LayoutChecker, files
from aweigh.errors import LayoutError, LockTimeoutError
from aweigh.events import BlobPushed
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.image.publish import publish
from aweigh.oci import Descriptor, Digest, Manifest, Platform, Reference, describe
from aweigh.oci.layout import blob_path
from aweigh.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from aweigh.testing import RecordingListener

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
NAME = Reference.parse("localhost/train:aw-1")
WRITER = """
import asyncio, sys
from pathlib import Path
from aweigh.backends.layout import ImageLayout
from aweigh.oci import Index, Reference, describe
from aweigh.oci.manifest import OCI_INDEX

async def main():
    layout = ImageLayout(Path(sys.argv[1]))
    content = Index(manifests=()).to_bytes()
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[3])):
        blob = (sys.argv[2] + str(number)).encode() * 100_000
        await layout.push_blob(None, describe(blob, ""), blob)
        name = Reference.parse(f"localhost/{sys.argv[2]}:{number}")
        await layout.put_manifest(name, content, OCI_INDEX)

asyncio.run(main())
"""


def blob(content: bytes, media_type: str = OCI_LAYER_GZIP) -> Descriptor:
    """Describe a blob."""
    return describe(content, media_type)


async def put_image(
    layout: ImageLayout,
    reference: Reference = NAME,
    platforms: tuple[Platform, ...] = (AMD64,),
) -> Descriptor:
    """Put an image of one layer for each platform under a name."""
    built = {}
    for platform in platforms:
        layer, config = f"layer {platform}".encode(), f"config {platform}".encode()
        await layout.push_blob(reference, blob(layer), layer, name="layer")
        await layout.push_blob(reference, blob(config), config, name="config")
        manifest = Manifest(config=blob(config, OCI_CONFIG), layers=(blob(layer),))
        content = manifest.to_bytes()
        tag = f"{reference.tag}-{platform}".replace("/", "-")
        put = await layout.put_manifest(reference.with_tag(tag), content, OCI_MANIFEST)
        built[platform] = put.digest
    return (await publish(layout, reference, built))[0]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return where a layout may be."""
    return tmp_path / "data" / "images"


@pytest.fixture
def layout(root: Path) -> ImageLayout:
    """Return a layout that does not exist yet."""
    return ImageLayout(root)


def leftovers(root: Path) -> list[Path]:
    """List unfinished files."""
    return list((root / ".aweigh").glob("partial-*"))


async def test_nothing_is_there_and_reading_writes_nothing(
    layout: ImageLayout, root: Path
) -> None:
    """Questions to a layout that does not exist are answered, and leave it so."""
    assert await layout.get_manifest(NAME) is None
    assert await layout.head_manifest(NAME, deadline=1.0) is None
    assert not await layout.has_blob(NAME, Digest.of(b"x"))
    assert await LayoutChecker(layout).check(NAME, frozenset({AMD64})) == Absent(
        f"the layout {root} has no {NAME}"
    )
    assert not root.exists()


async def test_it_is_a_layout_as_the_spec_has_it(
    layout: ImageLayout, root: Path
) -> None:
    """Marker, index and blobs are where image-layout.md puts them; others see none."""
    descriptor = await put_image(layout)
    assert json.loads((root / "oci-layout").read_bytes()) == {
        "imageLayoutVersion": "1.0.0"
    }
    index = json.loads((root / "index.json").read_bytes())
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    named = {
        entry["annotations"]["org.opencontainers.image.ref.name"]: entry["digest"]
        for entry in index["manifests"]
    }
    assert named[str(NAME)] == named[descriptor.digest.hex] == str(descriptor.digest)
    for path in (root / "blobs" / "sha256").iterdir():
        assert Digest.of(path.read_bytes()).hex == path.name
    assert root.stat().st_mode & 0o777 == 0o700


async def test_documents_are_found_by_name_and_by_digest(layout: ImageLayout) -> None:
    """Both lead to the same bytes; a new document takes over the name alone."""
    first = await put_image(layout)
    found = await layout.get_manifest(NAME)
    assert found is not None
    assert found == await layout.get_manifest(NAME.with_digest(first.digest))
    assert (found[1], Digest.of(found[2])) == (first, first.digest)
    second = await put_image(layout, platforms=(ARM64,))
    assert await layout.head_manifest(NAME) == second
    assert await layout.head_manifest(NAME.with_digest(first.digest)) == first


async def test_adding_a_platform_keeps_the_others(layout: ImageLayout) -> None:
    """One index has both, and the checker knows which are missing."""
    await put_image(layout)
    checker = LayoutChecker(layout)
    said = await checker.check(NAME, frozenset({AMD64, ARM64}))
    assert isinstance(said, Absent)
    assert "without linux/arm64" in said.reason
    descriptor = await put_image(layout, platforms=(ARM64,))
    said = await checker.check(NAME, frozenset({AMD64, ARM64}))
    assert said == Present(descriptor, frozenset({AMD64, ARM64}))


async def test_blobs_come_back_verified(layout: ImageLayout, tmp_path: Path) -> None:
    """Small ones at once, large ones in pieces; a file is taken without a copy."""
    content = os.urandom((1 << 20) + 7)
    source = tmp_path / "layer"
    source.write_bytes(content)
    described = blob(content)
    assert await layout.push_blob(NAME, described, source)
    assert blob_path(layout.root, described.digest).samefile(source)
    assert await layout.read_blob(NAME, described) == content
    async with aclosing(layout.stream_blob(NAME, described)) as pieces:
        assert [len(piece) async for piece in pieces] == [1 << 20, 7]
    with pytest.raises(LayoutError, match="huge"):
        await layout.read_blob(NAME, described, limit=10)


async def test_a_file_of_another_disk_is_copied(
    layout: ImageLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where files cannot be linked they are copied, and the mode is the same."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source = tmp_path / "layer"
    source.write_bytes(b"bytes")
    assert await layout.push_blob(NAME, blob(b"bytes"), source)
    path = blob_path(layout.root, Digest.of(b"bytes"))
    assert path.read_bytes() == b"bytes"
    assert not path.samefile(source)
    assert path.stat().st_mode & 0o777 == 0o644
    assert leftovers(layout.root) == []


async def test_blobs_are_shared(layout: ImageLayout) -> None:
    """What one image brought another need not: by digest, whatever its name."""
    heard = RecordingListener()
    layout = ImageLayout(layout.root, listener=heard)
    other = Reference.parse("localhost/other:1")
    assert not await layout.mount_blob(other, blob(b"x"), "train")
    assert await layout.push_blob(NAME, blob(b"x"), b"x", mount_from="a", name="one")
    assert await layout.mount_blob(other, blob(b"x"), "train")
    assert not await layout.push_blob(other, blob(b"x"), b"x")
    assert [(event.layer, event.reused) for event in heard.of(BlobPushed)] == [
        ("one", False),
        (str(Digest.of(b"x")), True),
    ]


async def test_a_damaged_blob_is_replaced(layout: ImageLayout) -> None:
    """One of another size counts as missing and is written anew."""
    await layout.push_blob(NAME, blob(b"right"), b"right")
    path = blob_path(layout.root, Digest.of(b"right"))
    path.write_bytes(b"rig")
    with pytest.raises(LayoutError, match="not there whole"):
        await layout.read_blob(NAME, blob(b"right"))
    async with aclosing(layout.stream_blob(NAME, blob(b"right"))) as pieces:
        assert await anext(pieces) == b"rig"
        with pytest.raises(LayoutError, match="not there whole"):
            await anext(pieces)
    assert await layout.push_blob(NAME, blob(b"right"), b"right")
    assert path.read_bytes() == b"right"


async def test_missing_blobs_are_errors(layout: ImageLayout) -> None:
    """Reading what is not there says so, and a name never leads to nothing."""
    with pytest.raises(LayoutError, match="not there whole"):
        await layout.read_blob(NAME, blob(b"x"))
    async with aclosing(layout.stream_blob(NAME, blob(b"x"))) as pieces:
        with pytest.raises(LayoutError, match="No such file"):
            await anext(pieces)
    manifest = Manifest(config=blob(b"c", OCI_CONFIG), layers=(blob(b"x"),))
    with pytest.raises(LayoutError, match="not whole"):
        await layout.put_manifest(NAME, manifest.to_bytes(), OCI_MANIFEST)
    assert await layout.get_manifest(NAME) is None


async def test_a_truncated_blob_is_removed_when_it_is_needed(
    layout: ImageLayout,
) -> None:
    """Otherwise every next build would take it for the layer that it no longer is."""
    await put_image(layout)
    found = await layout.get_manifest(NAME)
    assert found is not None
    layer = blob(b"layer linux/amd64")
    blob_path(layout.root, layer.digest).write_bytes(b"lay")
    assert await layout.get_manifest(NAME) is None
    entry = json.loads(found[2])["manifests"][0]["digest"]
    manifest = await layout.get_manifest(NAME.with_digest(Digest.parse(entry)))
    assert manifest is not None
    with pytest.raises(LayoutError, match="not whole") as caught:
        await layout.put_manifest(NAME, manifest[2], OCI_MANIFEST)
    assert "again" in caught.value.hint
    assert not await layout.has_blob(NAME, layer.digest)


@pytest.mark.parametrize(
    "content",
    ["no json", "[]", "{}", '{"manifests": 3}', '{"manifests": [3]}'],
)
async def test_a_damaged_index_is_an_error(layout: ImageLayout, content: str) -> None:
    """It is never taken for an empty one, and never overwritten."""
    await put_image(layout)
    index = layout.root / "index.json"
    index.write_text(content)
    with pytest.raises(LayoutError, match="damaged") as caught:
        await layout.get_manifest(NAME)
    assert str(layout.root) in caught.value.hint
    with pytest.raises(LayoutError, match="damaged"):
        await put_image(layout)
    assert index.read_text() == content
    said = await LayoutChecker(layout).check(NAME, frozenset({AMD64}))
    assert isinstance(said, Unknown)
    assert (said.reason, said.hint) == (str(caught.value), caught.value.hint)


async def test_a_damaged_entry_is_an_error(layout: ImageLayout) -> None:
    """The message says which name it is."""
    await put_image(layout)
    index = layout.root / "index.json"
    index.write_text(index.read_text().replace('"size"', '"length"'))
    with pytest.raises(LayoutError, match=r"train:aw-1\.size should be int"):
        await layout.get_manifest(NAME)


async def test_entries_of_other_tools_are_kept(layout: ImageLayout) -> None:
    """Whatever they say: fields we do not know, entries without a name."""
    await put_image(layout)
    path = layout.root / "index.json"
    theirs = {"mediaType": "x/y", "digest": "sha512:1", "size": 1, "data": "Zg=="}
    index = json.loads(path.read_bytes())
    index["manifests"].append(theirs)
    index["annotations"] = {"by": "them"}
    path.write_text(json.dumps(index))
    await put_image(layout, Reference.parse("localhost/other:1"))
    after = json.loads(path.read_bytes())
    assert theirs in after["manifests"]
    assert after["annotations"] == {"by": "them"}


@pytest.mark.parametrize("what", ["layer", "manifest", "index"])
async def test_an_image_with_gaps_is_absent(layout: ImageLayout, what: str) -> None:
    """Building it again brings back whatever was deleted."""
    descriptor = await put_image(layout)
    index = await layout.get_manifest(NAME)
    assert index is not None
    entry = json.loads(index[2])["manifests"][0]["digest"]
    digests = {
        "layer": Digest.of(b"layer linux/amd64"),
        "manifest": Digest.parse(entry),
        "index": descriptor.digest,
    }
    blob_path(layout.root, digests[what]).unlink()
    checker = LayoutChecker(layout)
    for name in (NAME, NAME.with_digest(descriptor.digest)):
        said = await checker.check(name, frozenset({AMD64}))
        assert isinstance(said, Absent)
    await put_image(layout)
    assert isinstance(await checker.check(NAME, frozenset({AMD64})), Present)


async def test_a_document_that_is_none_counts_as_missing(layout: ImageLayout) -> None:
    """A blob that is no manifest cannot be an image."""
    await layout.push_blob(NAME, blob(b"[1]"), b"[1]")
    assert await layout.get_manifest(NAME.with_digest(Digest.of(b"[1]"))) is None


async def test_a_deleted_layout_starts_anew(layout: ImageLayout, root: Path) -> None:
    """Deleting the directory, even under an open session, costs only work."""
    descriptor = await put_image(layout)
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()
    assert await LayoutChecker(layout).check(
        NAME.with_digest(descriptor.digest), frozenset()
    ) == Absent(f"the layout {root} has no {NAME.with_digest(descriptor.digest)}")
    assert await put_image(layout) == descriptor


async def test_a_full_disk_is_an_error_and_leaves_nothing(
    layout: ImageLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint says what to delete, and no half blob is visible."""
    await put_image(layout)
    before = sorted(layout.root.rglob("*"))

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(LayoutError, match="No space left") as caught:
        await layout.push_blob(NAME, blob(b"large"), b"large")
    assert "make room" in caught.value.hint
    assert sorted(layout.root.rglob("*")) == before


async def test_a_directory_of_somebody_else_is_an_error(root: Path) -> None:
    """The message has the system's words, the hint says what to do."""
    root.parent.mkdir()
    root.write_text("a file")
    layout = ImageLayout(root)
    with pytest.raises(LayoutError, match="File exists") as caught:
        await put_image(layout)
    assert "AWEIGH_DATA_DIR" in caught.value.hint
    with pytest.raises(LayoutError, match="Not a directory"):
        await layout.get_manifest(NAME)


async def test_a_disk_that_may_not_be_written(
    layout: ImageLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only disk is an error that says how to go elsewhere."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(LayoutError, match="Read-only") as caught:
        await put_image(layout)
    assert "writable" in caught.value.hint


async def test_leftovers_of_the_dead_are_removed_and_others_kept(root: Path) -> None:
    """An unfinished file is in use for as long as its writer lives."""
    workshop = root / ".aweigh"
    workshop.mkdir(parents=True)
    (workshop / "partial-dead").write_bytes(b"half")
    with (workshop / "partial-alive").open("wb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        await put_image(ImageLayout(root))
        assert leftovers(root) == [workshop / "partial-alive"]


def test_without_locks_only_old_leftovers_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can say who lives, a day tells."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for name, age in (("old", 90_000), ("new", 0)):
        path = tmp_path / f"partial-{name}"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    files.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["partial-new"]
    files.write_file(tmp_path / "a", b"x", workshop=tmp_path)
    assert (tmp_path / "a").read_bytes() == b"x"


def test_a_file_removed_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who tidies up may come between the making and the lock."""
    flock = fcntl.flock

    def tidy_first(file: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        files.remove_leftovers(tmp_path)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", tidy_first)
    files.write_file(tmp_path / "a", b"x", workshop=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


async def test_who_is_kept_from_writing_names_is_told_by_whom(
    layout: ImageLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that hangs is waited for a while only."""
    await put_image(layout)
    monkeypatch.setattr("aweigh.backends.layout.layout._LOCK_SECONDS", 0.05)
    (lock,) = (layout.root / ".aweigh").glob("*.lock")
    with lock.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LockTimeoutError):
            await put_image(layout, Reference.parse("localhost/other:1"))
    assert isinstance(
        await LayoutChecker(layout).check(NAME, frozenset({AMD64})), Present
    )


async def test_cancelling_leaves_the_index_whole_and_the_lock_free(
    layout: ImageLayout,
) -> None:
    """Wherever it hits, the index is one that can be read, and the next one works."""
    await put_image(layout)
    for wait in range(12):
        name = Reference.parse(f"localhost/n{wait}:1")
        task = asyncio.create_task(put_image(layout, name))
        await asyncio.sleep(wait * 0.0015)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await layout.get_manifest(NAME) is not None
    await put_image(layout, platforms=(ARM64,))
    deadline = time.monotonic() + 10
    while leftovers(layout.root) and time.monotonic() < deadline:
        await asyncio.sleep(0.01)  # what was begun is finished by its thread
    assert leftovers(layout.root) == []


Start = Callable[[str, int], subprocess.Popen[bytes]]


@pytest.fixture
def start(root: Path) -> Start:
    """Return what starts a process that waits and then writes images."""

    def run(name: str, count: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), name, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    return run


def go(process: subprocess.Popen[bytes]) -> None:
    """Let a waiting process begin."""
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


async def test_processes_that_add_images_at_once_lose_none(
    layout: ImageLayout, start: Start
) -> None:
    """Every name of every process is there in the end."""
    writers = [start(name, 8) for name in ("a", "b", "c")]
    for writer in writers:
        go(writer)
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    for name in "abc":
        for number in range(8):
            reference = Reference.parse(f"localhost/{name}:{number}")
            assert await layout.head_manifest(reference) is not None


async def test_killed_writers_leave_nothing_half(
    layout: ImageLayout, start: Start
) -> None:
    """After each kill: blobs are whole, the index is readable, the next run tidies."""
    for step in range(5):
        writer = start(f"k{step}", 400)
        go(writer)
        await asyncio.sleep(0.02 + step * 0.03)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        for path in (layout.root / "blobs" / "sha256").glob("*"):
            assert Digest.of(path.read_bytes()).hex == path.name
        await put_image(ImageLayout(layout.root))
        assert leftovers(layout.root) == []
        assert await layout.head_manifest(NAME) is not None
