"""Packs that are made while the tree is scanned are those that would be made after."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import pytest

from aweigh.bundle import ahead as module
from aweigh.bundle.form import Form
from aweigh.bundle.pack import Packing
from aweigh.bundle.recall import BundlePolicy
from aweigh.bundle.store import Held
from aweigh.errors import StoreError, StoreUnavailableError
from aweigh.events import Event, TreeScanned
from aweigh.testing.store import MemoryStore
from aweigh.tree import content
from tests.bundle.helpers import Bench

PACKS = 30


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Thirty packs in directories, with files, links and directories among them."""
    root = tmp_path / "code"
    for number in range(PACKS * 25):
        folder = root / f"d{number // 100}" / ("deep" if number % 3 else ".")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number:04}").write_bytes(b"%d " % number * 1600)
    (root / "d1" / "empty").mkdir()
    (root / "d2" / "link").symlink_to("deep")
    (root / "zz").write_bytes(b"last")
    (root / "d3.txt").write_bytes(b"between d3 and its content")
    return root


class Directory(MemoryStore):
    """A store that takes packs at once, as a directory does."""

    def __init__(self) -> None:
        """Take everything."""
        super().__init__()
        self.taken: Counter[str] = Counter()
        self.full = False

    def put_now(self, name: str, body: bytes, /) -> bool:
        """Create an object."""
        if self.full:
            raise StoreError("it is full", hint="make room")
        if name in self.objects:
            return False
        self.objects[name] = body
        self.taken[name] += 1
        return True


STORES = pytest.mark.parametrize("kind", [MemoryStore, Directory])


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each pack has that is made after the scan."""
    sizes: list[int] = []
    original = Packing.whole

    def whole(self: Packing) -> bytes:
        body = original(self)
        sizes.append(len(body))
        return body

    monkeypatch.setattr(Packing, "whole", whole)
    return sizes


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that waits for the store's answer before it goes on."""
    answered: list[module.Ahead] = []
    original = module.Ahead._tell

    def tell(self: module.Ahead, pieces: object) -> None:
        original(self, pieces)  # type: ignore[arg-type]  # what it was given
        for _ in range(2000):
            if self._wanted is not None:
                break
            threading.Event().wait(0.005)
        answered.append(self)

    monkeypatch.setattr(module.Ahead, "_tell", tell)


@pytest.mark.usefixtures("patient")
async def test_packs_are_made_while_files_are_read(
    tree: Path, packed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Almost all come ready out of the scan, and are the same as made after it."""
    store = MemoryStore()
    await Bench(store=store).upload(tree)
    assert len(packed) < len(store.objects) / 3
    monkeypatch.setattr(module, "_WORTH", 1 << 40)
    after = MemoryStore()
    await Bench(store=after).upload(tree)
    assert after.objects == store.objects


@pytest.mark.usefixtures("patient")
async def test_a_directory_gets_them_at_once(tree: Path) -> None:
    """Nothing of what it took is asked for or put again, and all of it is counted."""
    store = Directory()
    bundle = await Bench(store=store).upload(tree)
    assert len(store.taken) > len(store.objects) * 2 / 3
    assert store.requests["head"] < len(store.objects) / 3
    assert bundle.uploaded_bytes == sum(map(len, store.objects.values()))
    after = MemoryStore()
    await Bench(store=after).upload(tree)
    # The pack with the empty directory was another one while nobody knew of that.
    assert after.objects.items() <= store.objects.items()
    assert len(store.objects) - len(after.objects) <= 1


@pytest.mark.usefixtures("patient")
async def test_a_directory_that_takes_nothing(tree: Path) -> None:
    """What it refuses is put as if nobody had tried."""
    store, plain = Directory(), MemoryStore()
    store.full = True
    bundle = await Bench(store=store).upload(tree)
    await Bench(store=plain).upload(tree)
    assert store.objects == plain.objects
    assert bundle.uploaded_bytes == sum(map(len, store.objects.values()))


@pytest.mark.usefixtures("patient")
async def test_one_of_many_puts_them(tree: Path, tmp_path: Path) -> None:
    """Whoever scans the same tree at the same time sends nothing again."""
    store = Directory()
    benches = [Bench(store=store, locks=tmp_path / "locks") for _ in range(4)]
    bundles = await asyncio.gather(*(bench.upload(tree) for bench in benches))
    assert store.taken
    sent = sum(bundle.uploaded_bytes for bundle in bundles)
    assert sent == sum(map(len, store.objects.values()))


@pytest.mark.usefixtures("patient")
async def test_cancelled_it_puts_no_more(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan's thread goes on, and the store gets nothing from it."""
    store, reached, go_on = Directory(), threading.Event(), threading.Event()
    original = content.Contents._look

    def look(self: content.Contents, path: str, *rest: object) -> object:
        if path == "d6/deep/":
            reached.set()
            go_on.wait(30)
        return original(self, path, *rest)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr(content.Contents, "_look", look)
    uploading = asyncio.create_task(Bench(store=store).upload(tree))
    assert await asyncio.to_thread(reached.wait, 30)
    uploading.cancel()
    await asyncio.wait([uploading])
    had = len(store.taken)
    go_on.set()
    await asyncio.sleep(0.2)
    assert 0 < len(store.taken) <= had + 1
    assert not any(name.startswith("bundles/") for name in store.objects)


@pytest.mark.usefixtures("patient")
async def test_nothing_is_made_for_a_store_that_has_it(
    tree: Path, packed: list[int]
) -> None:
    """Another machine's upload of nearly the same tree packs what is new."""
    store = MemoryStore()
    await Bench(store=store).upload(tree)
    packed.clear()
    (tree / "zz").write_bytes(b"new")
    bench = Bench(store=store)
    bundle = await bench.upload(tree)
    assert len(packed) == 1
    assert bundle.uploaded_bytes > packed[0]


@STORES
@pytest.mark.usefixtures("patient")
async def test_an_edit_of_two_files_is_noticed(
    kind: type[MemoryStore], tree: Path
) -> None:
    """Packs were made before it: they hold neither of the two, or both."""
    scans: list[Event] = []

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            scans.append(event)
            if len(scans) == 1:
                (tree / "d0" / "f0000").write_bytes(b"new")
                (tree / "zz").write_bytes(b"new")

    bundle = await Bench(store=kind(), also=listen).upload(tree)
    assert len(scans) == 2
    assert bundle.digest == (await Bench().upload(tree)).digest


@STORES
@pytest.mark.usefixtures("patient")
async def test_an_edit_during_the_scan_is_noticed(
    kind: type[MemoryStore], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was packed already and one that was not read yet change together."""
    original = content.Contents._look
    scans: list[Event] = []

    def look(self: content.Contents, path: str, *rest: object) -> object:
        if path == "d6/deep/" and not scans:
            (tree / "d0" / "f0000").write_bytes(b"new")
            (tree / "d7" / "f0702").write_bytes(b"new")
        return original(self, path, *rest)  # type: ignore[arg-type]  # as given

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            scans.append(event)

    monkeypatch.setattr(content.Contents, "_look", look)
    bundle = await Bench(store=kind(), also=listen).upload(tree)
    assert len(scans) == 2
    assert bundle.digest == (await Bench().upload(tree)).digest


@STORES
@pytest.mark.usefixtures("patient")
async def test_a_touched_file_is_packed_again(
    kind: type[MemoryStore], tree: Path, packed: list[int]
) -> None:
    """New times with the old content cost one pack, not the scan."""
    scans: list[Event] = []

    def listen(event: Event, /) -> None:
        if isinstance(event, TreeScanned):
            scans.append(event)
            (tree / "d0" / "f0000").touch()

    store = kind()
    await Bench(store=store, also=listen).upload(tree)
    assert len(scans) == 1
    assert 0 < len(packed) < len(store.objects) / 3


class Silent(MemoryStore):
    """A store that does not answer the first question."""

    asked = 0

    async def head(self, name: str, /) -> Held | None:
        """Fail once."""
        self.asked += 1
        if self.asked == 1:
            raise StoreUnavailableError("no answer", hint="wait")
        return await super().head(name)


@pytest.mark.usefixtures("patient")
async def test_no_answer_is_no_failure(tree: Path, packed: list[int]) -> None:
    """Then all is packed after the scan, and asked for again."""
    store = Silent()
    bundle = await Bench(store=store).upload(tree)
    assert bundle.uploaded_bytes
    assert len(packed) == len(store.objects) - 1


async def test_who_needs_no_packs_asks_for_none(tree: Path) -> None:
    """Offline and for archives, the store is not opened by the scan."""
    bench = Bench(policy=BundlePolicy(offline=True))
    with pytest.raises(StoreUnavailableError):
        await bench.upload(tree)
    assert not bench.opened
    archived = Bench()
    await archived.upload(tree, form=Form.ZIP)
    assert archived.opened == 1
