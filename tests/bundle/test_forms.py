"""Bundles as archives for other tools: the same tree, whole, once, and warm."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import tarfile
import uuid
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from aweigh import Settings, open_session
from aweigh.archive.tar import tar_chunks
from aweigh.bundle.archives import write_archive
from aweigh.bundle.bundle import BundleUri, Origin
from aweigh.bundle.form import Form
from aweigh.bundle.forms import Archiving
from aweigh.bundle.members import archive_members, layer_members
from aweigh.bundle.recall import BundlePolicy
from aweigh.errors import (
    ChangedError,
    InvalidValueError,
    StoreUnavailableError,
    TreeError,
)
from aweigh.events import UploadProgressed
from aweigh.testing.store import MemoryStore
from aweigh.tree.rules import Rules
from aweigh.tree.scan import Tree, scan
from tests.bundle.helpers import TREES, Bench, contents, write_tree

if TYPE_CHECKING:
    from aweigh.tree.entry import Entry
    from tests.services import Services

ARCHIVES = pytest.mark.parametrize("form", [Form.ZIP, Form.TAR_GZ])


def scanned(root: Path, *, follow: bool = False) -> Tree:
    """Look at a directory, ignoring nothing."""
    return scan(root, Rules(), follow=follow)


def unpacked(form: Form, archive: Path, place: Path) -> Path:
    """Unpack an archive with the system's tools and say where the tree is."""
    place.mkdir()
    if form is Form.ZIP:
        subprocess.run(["unzip", "-q", archive, "-d", place], check=True)
        assert [path.name for path in place.iterdir()] == ["bundle"]
        return place / "bundle"
    subprocess.run(["tar", "-xzf", archive, "-C", place], check=True)
    return place


@ARCHIVES
async def test_written_and_unpacked(form: Form, tmp_path: Path) -> None:
    """Foreign tools make the same tree of it: exec bits, symlinks, empty folders."""
    root = write_tree(tmp_path / "code")
    archive = tmp_path / "archive"
    size = await write_archive(scanned(root), form, archive)
    assert archive.stat().st_size == size
    again = unpacked(form, archive, tmp_path / "out")
    assert contents(again) == contents(root)
    assert again.joinpath("run.sh").stat().st_mode & 0o777 == 0o755
    assert not list(tmp_path.glob(".*"))


@ARCHIVES
def test_the_same_bytes_every_time(form: Form, tmp_path: Path) -> None:
    """Times, owners, the place and the order of writing do not show."""
    first = write_tree(tmp_path / "one")
    second = tmp_path / "two"
    subprocess.run(["cp", "-r", "--no-dereference", first, second], check=True)
    os.utime(second / "main.py", (1, 1))
    (second / "main.py").chmod(0o600)
    packed = [
        b"".join(Archiving(scanned(root), form)) for root in (first, second, first)
    ]
    assert packed[0] == packed[1] == packed[2]


@given(TREES)
def test_any_tree_in_a_layer(entries: tuple[Entry, ...]) -> None:
    """Each member's directories come before it and once, everything below one."""
    below = "opt/app"
    seen: set[str] = set()
    for member in archive_members(_tree(entries), below):
        parent = member.path.rpartition("/")[0]
        assert not parent or parent in seen
        assert member.path not in seen
        seen.add(member.path)
    named = {f"{below}/{entry.path}" for entry in entries}
    above = {str(each) for path in named for each in Path(path).parents} - {"."}
    assert seen == named | above


def _tree(entries: tuple[Entry, ...]) -> Tree:
    """A tree that is on no disk."""

    class Paper:
        root = Path("/nowhere")

        def source(self, entry: Entry) -> Path:
            return self.root / entry.path

    paper = Paper()
    paper.entries = entries  # type: ignore[attr-defined]
    return paper  # type: ignore[return-value]


def test_a_layer_of_an_image(tmp_path: Path) -> None:
    """It belongs to root, has one time, and the directories it is in."""
    root = write_tree(tmp_path / "code")
    layer = b"".join(tar_chunks(layer_members(scanned(root), "/srv/app")))
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        found = {info.name: info for info in tar.getmembers()}
    assert {"srv", "srv/app", "srv/app/pkg", "srv/app/pkg/empty"} <= set(found)
    assert {(each.uid, each.gid, each.mtime) for each in found.values()} == {
        (0, 0, 946_684_800)
    }
    assert found["srv/app/run.sh"].mode == 0o755
    assert found["srv/app/main.py"].mode == 0o644
    assert found["srv/app/link"].linkname == "pkg/data.bin"


def test_a_layer_of_a_file_that_changed(tmp_path: Path) -> None:
    """What the tree did not say is not packed."""
    root = write_tree(tmp_path / "code")
    tree = scanned(root)
    (root / "main.py").write_text("print('HELLO')\n")
    with pytest.raises(ChangedError, match=r"main\.py"):
        b"".join(tar_chunks(layer_members(tree, "/app")))


def test_followed_links_are_files(tmp_path: Path) -> None:
    """Ray's unpacker makes files of symlinks: following them gives it the content."""
    root = write_tree(tmp_path / "code")
    data = b"".join(Archiving(scanned(root, follow=True), Form.ZIP))
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        info = found.getinfo("bundle/link")
        assert info.external_attr >> 16 == 0o100644
        assert found.read(info) == (root / "pkg" / "data.bin").read_bytes()


@ARCHIVES
async def test_upload_then_recall(form: Form, tmp_path: Path) -> None:
    """One object, named by the URI; the second call asks nobody."""
    root = write_tree(tmp_path / "code")
    store = MemoryStore()
    bench = Bench(store=store)
    made = await bench.upload(root, form=form)
    assert made.uri == f"memory://test/bundles/{made.digest.hex}/bundle.{form}"
    [(name, body)] = store.objects.items()
    assert made.uri == f"memory://test/{name}"
    assert (made.origin, made.uploaded_bytes) == (Origin.UPLOADED, len(body))
    archive = tmp_path / "got"
    archive.write_bytes(body)
    assert contents(unpacked(form, archive, tmp_path / "out")) == contents(root)
    store.down = True
    again = await bench.upload(root, form=form)
    assert (again.uri, again.origin, again.uploaded_bytes) == (
        made.uri,
        Origin.RECALLED,
        0,
    )


async def test_forms_are_remembered_apart(tmp_path: Path) -> None:
    """Packs that are known are no zip; both have one digest."""
    root = write_tree(tmp_path / "code")
    bench = Bench()
    packs = await bench.upload(root)
    zipped = await bench.upload(root, form=Form.ZIP)
    assert zipped.origin is Origin.UPLOADED
    assert packs.digest == zipped.digest
    assert (await bench.upload(root)).origin is Origin.RECALLED
    assert (await bench.upload(root, form=Form.ZIP)).origin is Origin.RECALLED


async def test_another_machine_finds_it(tmp_path: Path) -> None:
    """Without anything remembered, one question is enough."""
    root = write_tree(tmp_path / "code")
    store = MemoryStore()
    await Bench(store=store).upload(root, form=Form.ZIP)
    store.requests.clear()
    found = await Bench(store=store).upload(root, form=Form.ZIP)
    assert found.origin is Origin.FOUND
    assert store.requests == {"head": 1}


async def test_deleted_archives_are_put_back(tmp_path: Path) -> None:
    """A stale answer is checked; one that is wrong is forgotten."""
    root = write_tree(tmp_path / "code")
    store = MemoryStore()
    bench = Bench(store=store, policy=BundlePolicy(fresh_for=10.0))
    await bench.upload(root, form=Form.ZIP)
    store.objects.clear()
    bench.now += 11
    again = await bench.upload(root, form=Form.ZIP)
    assert again.origin is Origin.UPLOADED
    assert len(store.objects) == 1


async def test_old_archives_are_put_again(tmp_path: Path) -> None:
    """A store that expires objects by age keeps what is still uploaded."""
    root = write_tree(tmp_path / "code")
    store = MemoryStore()
    bench = Bench(store=store)
    made = await bench.upload(root, form=Form.ZIP)
    [name] = store.objects
    store.modified[name] = bench.now
    bench.now += bench.policy.ttl / 2 + 3600
    again = await bench.upload(root, form=Form.ZIP)
    assert (again.origin, again.uri) == (Origin.UPLOADED, made.uri)
    assert again.uploaded_bytes == made.uploaded_bytes
    assert store.requests["renew"] == 1


async def test_offline_without_a_memory(tmp_path: Path) -> None:
    """There is no answer to give."""
    bench = Bench(policy=BundlePolicy(offline=True))
    with pytest.raises(StoreUnavailableError, match="offline"):
        await bench.upload(write_tree(tmp_path / "code"), form=Form.ZIP)


async def test_sixteen_at_once_upload_one(tmp_path: Path) -> None:
    """Callers that want the same archive share it."""
    root = write_tree(tmp_path / "code")
    store = MemoryStore()
    store.delay = 0.01
    bench = Bench(store=store, locks=tmp_path / "locks")
    uploader = bench.uploader()
    made = await asyncio.gather(
        *(
            uploader.upload(root, memory=bench.memory, size_limit=None, form=Form.ZIP)
            for _ in range(16)
        )
    )
    assert sorted(each.bundle.origin for each in made) == ["found"] * 15 + ["uploaded"]
    assert store.requests["put"] == 1


async def test_progress_reaches_the_end(tmp_path: Path) -> None:
    """What is told grows to the size of the tree."""
    root = write_tree(tmp_path / "code")
    bench = Bench()
    made = await bench.upload(root, form=Form.TAR_GZ)
    told = [e for e in bench.events if isinstance(e, UploadProgressed)]
    assert told[-1].done == told[-1].total == made.size


async def test_a_file_that_changes_while_it_is_packed(tmp_path: Path) -> None:
    """The walk starts again; the archive has the new state and its digest."""
    root = write_tree(tmp_path / "code")
    store = MemoryStore()
    heads = 0

    class Meddling(MemoryStore):
        async def head(self, name: str, /):  # type: ignore[no-untyped-def]  # noqa: ANN202
            nonlocal heads
            heads += 1
            if heads == 1:
                (root / "main.py").write_text("print('other')\n")
            return await super().head(name)

    store = Meddling()
    made = await Bench(store=store).upload(root, form=Form.ZIP)
    [body] = store.objects.values()
    with zipfile.ZipFile(io.BytesIO(body)) as found:
        assert found.read("bundle/main.py") == b"print('other')\n"
    packs = await Bench().upload(root)
    assert packs.digest == made.digest


async def test_names_that_zip_cannot_say(tmp_path: Path) -> None:
    """The error names the file and the form that can; nothing is in the store."""
    root = write_tree(tmp_path / "code")
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text("")
    store = MemoryStore()
    with pytest.raises(TreeError, match="not UTF-8") as caught:
        await Bench(store=store).upload(root, form=Form.ZIP)
    assert "tar.gz" in caught.value.hint
    assert not store.objects
    assert (await Bench(store=store).upload(root, form=Form.TAR_GZ)).uploaded_bytes


async def test_cancelled_writing_leaves_nothing(tmp_path: Path) -> None:
    """The file that was there is still there, and nothing beside it."""
    root = tmp_path / "code"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(40 << 20))
    tree = scanned(root)
    archive = tmp_path / "code.zip"
    archive.write_text("old")
    writing = asyncio.create_task(write_archive(tree, Form.ZIP, archive))
    while not list(tmp_path.glob(".code.zip.*")):
        await asyncio.sleep(0.001)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert archive.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code", "code.zip"]


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The error says which, and what to do."""
    tree = scanned(write_tree(tmp_path / "code"))
    with pytest.raises(TreeError, match="cannot write"):
        await write_archive(tree, Form.ZIP, tmp_path / "nowhere" / "code.zip")


def test_uris() -> None:
    """A URI says the form; a form that there is not is none."""
    digest = "0" * 64
    for tail, form in (
        ("", Form.PACKS),
        ("/bundle.zip", Form.ZIP),
        ("/bundle.tar.gz", Form.TAR_GZ),
    ):
        text = f"s3://bucket/code/bundles/{digest}{tail}"
        uri = BundleUri.parse(text)
        assert (uri.form, str(uri)) == (form, text)
    with pytest.raises(InvalidValueError):
        BundleUri.parse(f"s3://bucket/bundles/{digest}/bundle.rar")
    with pytest.raises(InvalidValueError, match="rar"):
        Form.parse("rar")
    assert Form.of_file("x.tgz") is Form.TAR_GZ


async def test_a_session_with_a_real_store(
    tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the public interface to S3: uploaded, recalled, and not fetched."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", services.s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", services.s3_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", services.s3_secret_key)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    settings = Settings(
        store=f"s3://{services.s3_bucket}/{uuid.uuid4().hex}",
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "data",
    )
    root = write_tree(tmp_path / "code")
    async with open_session(settings) as session:
        made = await session.upload_bundle(root, form="zip")
        assert made.uri.endswith("/bundle.zip")
        again = await session.upload_bundle(root, form="zip")
        assert again.origin is Origin.RECALLED
        with pytest.raises(InvalidValueError, match="archive") as caught:
            await session.fetch_bundle(made.uri, tmp_path / "out")
        assert "unzip" in caught.value.hint
        with pytest.raises(InvalidValueError):
            await session.upload_bundle(root, form="rar")  # type: ignore[arg-type]
