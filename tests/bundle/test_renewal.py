"""What grows old in a store is put again, so that expiring by age is safe."""

import os
import time
from pathlib import Path

import pytest

from aweigh.backends.objects.opening import open_store
from aweigh.bundle.bundle import Bundle, Origin
from aweigh.bundle.fetch import fetch
from aweigh.bundle.form import Form
from aweigh.bundle.recall import BundlePolicy
from aweigh.errors import StoreUnavailableError
from aweigh.events import Warned, silent
from aweigh.testing.store import MemoryStore
from tests.bundle.helpers import Bench, contents, objects_of, write_tree

DAY = 86400.0
TTL = 30 * DAY


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree of several packs, one of them streamed."""
    root = write_tree(tmp_path / "code")
    (root / "alone.bin").write_bytes(os.urandom(300 << 10))
    (root / "large.bin").write_bytes(os.urandom(5 << 20))
    return root


class Aging(MemoryStore):
    """Stamps what is put with the clock of a bench, not with that of the machine."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self.now = 0.0

    async def _request(self, kind: str) -> None:
        await super()._request(kind)
        if kind == "head":
            for name in self.objects:
                if self.modified.get(name, 1e9) > 1e8:
                    self.modified[name] = self.now

    def expire(self, age: float) -> int:
        """Delete what is older, as a lifecycle rule does; say how many were."""
        old = [name for name, at in self.modified.items() if self.now - at > age]
        for name in old:
            self.objects.pop(name, None)
            del self.modified[name]
        return len(old)


def bench_of(store: MemoryStore, *, fresh_for: float = 3600.0) -> Bench:
    """Return a bench with a clock that begins when the store's does."""
    return Bench(store=store, now=0.0, policy=BundlePolicy(fresh_for=fresh_for))


async def at(bench: Bench, days: float, root: Path) -> Bundle:
    """Upload on some day."""
    assert isinstance(bench.store, Aging)
    bench.now = bench.store.now = days * DAY
    bundle = await bench.upload(root)
    await bench.store.head("nothing")  # stamps what was put
    return bundle


async def test_old_objects_are_put_again(tree: Path) -> None:
    """Before half of the ttl nothing is, after it all of the bundle; then it is young.

    Small, medium and streamed packs, and the manifest; from an expired row and a stale
    one.
    """
    store = Aging()
    bench = bench_of(store)
    first = await at(bench, 0, tree)
    names, manifest = objects_of(store, first)
    assert len(names) >= 3
    early = await at(bench, 14, tree)
    assert early.uploaded_bytes == 0
    assert set(store.modified.values()) == {0.0}
    bodies = dict(store.objects)
    again = await at(bench, 16, tree)
    assert again.origin is Origin.UPLOADED
    assert again.uploaded_bytes == first.uploaded_bytes
    assert store.modified == dict.fromkeys([*names, manifest], 16 * DAY)
    assert store.objects == bodies
    assert store.requests["renew"] == len(names) + 1
    assert (await at(bench, 17, tree)).uploaded_bytes == 0
    late = await at(bench, 60, tree)
    assert late.uploaded_bytes == first.uploaded_bytes


async def test_an_edit_renews_what_it_shares(tree: Path) -> None:
    """A young bundle on old packs: a rule that expires by age breaks none of it."""
    store = Aging()
    bench = bench_of(store)
    await at(bench, 0, tree)
    (tree / "main.py").write_text("print('edited')\n")
    bundle = await at(bench, 20, tree)
    names, manifest = objects_of(store, bundle)
    assert {store.modified[name] for name in [*names, manifest]} == {20 * DAY}


async def test_expiring_by_age_is_safe(tree: Path, tmp_path: Path) -> None:
    """A year with a rule of ttl and a day: what was uploaded can always be fetched.

    Uploads on odd days, edits on some, tasks that start up to 15 days later.
    """
    store = Aging()
    bench = bench_of(store)
    taken = 0
    for number, day in enumerate(range(1, 366, 6)):
        if number % 5 == 0:
            (tree / "main.py").write_text(f"print({number})\n")
        bundle = await at(bench, day, tree)
        store.now = (day + 15) * DAY
        taken += store.expire(TTL + DAY)
        store.now = day * DAY
        if number % 7 == 0:
            out = tmp_path / f"out{number}"
            await fetch(store, bundle.digest, out, listener=silent)
            assert contents(out) == contents(tree)
    assert taken


async def test_a_fresh_row_asks_nothing(tree: Path) -> None:
    """Within `bundle_fresh_for` nobody looks, however old the objects are."""
    store = Aging()
    bench = bench_of(store)
    await at(bench, 0, tree)
    store.modified = dict.fromkeys(store.modified, -TTL)
    before = store.requests["head"]
    bundle = await bench.upload(tree)
    assert bundle.origin is Origin.RECALLED
    assert store.requests["head"] == before


async def test_who_remembers_nothing_does_not_upload_everything(tree: Path) -> None:
    """A ttl of zero asks each time; what is there for less than a day stays."""
    store = Aging()
    bench = bench_of(store)
    bench.policy = BundlePolicy(fresh_for=-1, ttl=0)
    await at(bench, 0, tree)
    assert (await at(bench, 0.9, tree)).uploaded_bytes == 0
    assert (await at(bench, 1.1, tree)).uploaded_bytes > 0


async def test_a_store_that_takes_nothing_still_has_it(tree: Path) -> None:
    """What cannot be put again is there all the same: a warning, and an answer."""

    class Full(Aging):
        async def _request(self, kind: str) -> None:
            await super()._request(kind)
            if kind == "renew":
                raise StoreUnavailableError("it is full", hint="make room")

    store = Full()
    bench = bench_of(store)
    await at(bench, 0, tree)
    bundle = await at(bench, 16, tree)
    assert bundle.origin is Origin.FOUND
    [warning] = bench.told(Warned)
    assert isinstance(warning, Warned)
    assert "grows old" in warning.message
    # With something missing there is no such answer.
    [first, *_], _ = objects_of(store, bundle)
    del store.objects[first]
    with pytest.raises(StoreUnavailableError, match="it is full"):
        await at(bench, 17, tree)


async def test_another_form_is_renewed_too(tree: Path) -> None:
    """One object or many: its age begins anew."""
    store = Aging()
    bench = bench_of(store)

    async def upload(days: float) -> Bundle:
        bench.now = store.now = days * DAY
        uploaded = await bench.uploader().upload(
            tree, memory=bench.memory, size_limit=None, form=Form.ZIP
        )
        await store.head("nothing")
        return uploaded.bundle

    first = await upload(0)
    assert (await upload(14)).uploaded_bytes == 0
    assert (await upload(16)).uploaded_bytes == first.uploaded_bytes
    assert set(store.modified.values()) == {16 * DAY}


async def test_explain_foresees_it(tree: Path) -> None:
    """The plan says that what is there is put again, and why."""
    store = Aging()
    bench = bench_of(store)
    await at(bench, 0, tree)
    bench.now = store.now = 20 * DAY
    plan = await bench.uploader().explain(tree, memory=bench.memory, size_limit=None)
    assert plan.tier == "upload"
    assert "put again" in plan.reason


async def test_files_are_renewed_in_place(tree: Path, tmp_path: Path) -> None:
    """In a directory: the same bytes, a new time, and nothing beside them."""
    root = tmp_path / "store"
    async with open_store(root.as_uri(), listener=silent) as store:
        first = await Bench(store=store, now=time.time()).upload(tree)
        objects = {path for path in root.rglob("*") if path.is_file()}
        bodies = {path: path.read_bytes() for path in objects}
        for path in objects:
            os.utime(path, (0, time.time() - 16 * DAY))
        again = await Bench(store=store, now=time.time()).upload(tree)
        assert again.uploaded_bytes == first.uploaded_bytes
    assert {path for path in root.rglob("*") if path.is_file()} == objects
    assert {path: path.read_bytes() for path in objects} == bodies
    assert min(path.stat().st_mtime for path in objects) > time.time() - DAY
