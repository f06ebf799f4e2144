"""Nothing that is not so: random histories against a model that knows the truth.

The registry and the store are dictionaries that the machine changes behind the
library's back; the local database is a real one, dropped without closing and opened
anew in between. The library may be slow, and it may raise. It never

- returns an image or a bundle that does not exist, unless it says that it is recalled,
  and either its row is within its fresh window or a warning says that nobody could be
  asked;
- returns another digest than the one that was confirmed or made under this name;
- answers for files as they were before an edit;
- builds or uploads when nobody could say that it is needed.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    precondition,
    rule,
)

from aweigh.bundle.bundle import Bundle
from aweigh.bundle.pack import open_manifest
from aweigh.bundle.store import Held
from aweigh.bundle.upload import BundlePolicy, BundleUploader
from aweigh.concurrency.single_flight import SingleFlight
from aweigh.errors import AweighError, StoreError
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.image.ensure import ImageEnsurer
from aweigh.image.image import Image
from aweigh.image.job import Destination
from aweigh.image.recall import ImagePolicy
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest, Index, parse_manifest
from aweigh.oci.descriptor import Descriptor
from aweigh.oci.manifest import OCI_INDEX
from aweigh.oci.platform import Platform
from aweigh.testing.doubles import (
    FakeBuilder,
    FakeToolBox,
)
from aweigh.testing.store import MemoryStore
from tests.bundle.helpers import delivered
from tests.faults.doubles import Registry, RegistryDouble
from tests.faults.world import FRESH, TTL, Row, World

# Nothing, within each of the windows, and the same backwards.
STEPS = (0.0, 0.0, 1.0, 59.0, 62.0, 300.0, 601.0, 1e6, -1.0, -59.0, -61.0, -500.0, -1e6)
# How many requests are still answered before everything is down.
ANSWERS = (None, None, None, 1, 2, 3, 4, 5, 6)
AMD64, ARM64 = "linux/amd64", "linux/arm64"


class Images(World):
    """Ensuring images while registry, clock, files and database change."""

    def __init__(self) -> None:
        super().__init__()
        (self.root / "a.py").write_text("1")
        self.registry = Registry()
        self.builder = FakeBuilder(self.registry)
        self.last: dict[str, Image] = {}
        self.tags: dict[object, str] = {}
        self.forged = 0

    def wire(self) -> None:
        """Make the ensurer of a new process."""
        self.ensurer = ImageEnsurer(
            destination=Destination(registry="r.example/acme"),
            policy=ImagePolicy(fresh_for=FRESH, ttl=TTL),
            toolbox=FakeToolBox(RegistryDouble(self.registry), self.builder),
            flights=SingleFlight[Image](),
            locks=self.cache / "locks",
            listener=self.heard,
            clock=self.clock,
        )

    @rule(
        which=st.sampled_from(("plain", "files")),
        platforms=st.sampled_from(((AMD64,), (AMD64,), (ARM64,), (AMD64, ARM64))),
        seconds=st.sampled_from(STEPS),
        answers=st.sampled_from(ANSWERS),
    )
    def ensure(
        self,
        which: str,
        platforms: tuple[str, ...],
        seconds: float,
        answers: int | None,
    ) -> None:
        """Time passes or jumps, and what comes back is held against the truth."""
        self.clock.advance(seconds)
        if answers is not None:
            self.registry.dies_after = answers
        spec = ImageSpec(which, base="base.example/python:3")
        if which == "files":
            spec = spec.with_files(".", "/app")
        since, asked = len(self.heard.events), len(self.registry.log)
        built, failed = len(self.builder.requests), self.registry.failed
        down = self.registry.down
        job = self.run(self.ensurer.plan(spec, root=self.root, platforms=platforms))
        name = str(job.reference)
        self.check_name(which, name)
        try:
            image = self.run(
                self.ensurer.ensure(
                    spec, root=self.root, memory=self.db, platforms=platforms
                )
            )
        except AweighError:
            image = None
            assert self.registry.failed > failed, "it raised although all answered"
        verdicts = self.registry.log[asked:]
        if len(self.builder.requests) > built:
            assert verdicts[-1][1] is Absent, "it built without being told to"
        if any(asked.digest and said is Absent for asked, said in verdicts):
            self.refute(name)
        if image is None:
            return
        assert str(image.reference) == name
        assert set(map(Platform.parse, platforms)) <= self.platforms(image)
        if image.origin == "recalled":
            last = verdicts[-1][1] if verdicts else None
            self.check_recalled(image, last, warned=self.could_not_ask(since))
        else:
            assert not down
            assert self.registry.points_at(image.reference) == str(image.digest)
            assert (image.origin == "built") == (len(self.builder.requests) > built)
            self.rows[name] = Row(str(image.digest), self.clock.now)
        self.last[name] = image

    def check_recalled(
        self, image: Image, last: type[Verdict] | None, *, warned: bool
    ) -> None:
        """A recalled image is the one that was confirmed last, and may be one now."""
        name, digest = str(image.reference), str(image.digest)
        row = self.rows.get(name)
        assert row is not None, "it recalls what was never confirmed, or is gone"
        assert digest == row.digest
        if last is None:
            assert row.is_fresh(self.clock.now), "it trusts a row that is not fresh"
        elif last is Unknown:
            assert warned, "it did not say that nobody could be asked"
            assert row.is_usable(self.clock.now)
        else:
            assert last is Present
            assert self.registry.holds(image.reference, digest)
            self.rows[name] = Row(digest, self.clock.now)

    def check_name(self, which: str, name: str) -> None:
        """Equal files are one image, others another."""
        wanted = (which, self.content() if which == "files" else ())
        assert self.tags.setdefault(wanted, name) == name
        assert len(set(self.tags.values())) == len(self.tags)

    def platforms(self, image: Image) -> frozenset[Platform]:
        """Return the platforms that a digest stands for, deleted or not."""
        content, media_type = self.registry.ever[str(image.digest)]
        document = parse_manifest(content, media_type)
        assert isinstance(document, Index)
        return document.platforms

    @rule(data=st.data())
    @precondition(lambda self: bool(self.last))
    def delete(self, data: st.DataObject) -> None:
        """Somebody deletes an image in the registry."""
        self.registry.delete(self.chosen(data).reference)

    @rule(data=st.data())
    @precondition(lambda self: bool(self.last))
    def delete_and_fall_silent(self, data: st.DataObject) -> None:
        """An image is gone, the registry says so once, and then nothing more."""
        self.registry.down = False
        for seconds, answers in ((0.0, None), (FRESH + 1, 1), (0.0, None)):
            self.ensure("plain", (AMD64,), seconds, answers)
            self.registry.delete(self.chosen(data).reference)

    @rule(data=st.data())
    @precondition(lambda self: bool(self.last))
    def move_tag(self, data: st.DataObject) -> None:
        """Somebody else pushes another image under the tag."""
        self.forged += 1
        config = Digest.of(str(self.forged).encode())
        entry = Descriptor(
            media_type="application/vnd.oci.image.manifest.v1+json",
            digest=config,
            size=self.forged,
            platform=Platform.parse(AMD64),
        )
        content = Index(manifests=(entry,)).to_bytes()
        registry = self.registry
        before = registry.down, registry.dies_after, registry.hiccups
        registry.down, registry.dies_after, registry.hiccups = False, None, 0
        self.run(registry.put_manifest(self.chosen(data).reference, content, OCI_INDEX))
        registry.down, registry.dies_after, registry.hiccups = before

    @rule(data=st.data())
    @precondition(lambda self: bool(self.last))
    def invalidate(self, data: st.DataObject) -> None:
        """A flow has noticed that it is not there."""
        image = self.chosen(data)
        self.run(self.ensurer.forget(image, self.db))
        self.rows.pop(str(image.reference), None)

    @rule(down=st.booleans())
    def registry_answers(self, down: bool) -> None:  # noqa: FBT001
        """The registry goes away, or comes back."""
        self.registry.down, self.registry.dies_after = down, None

    @rule(requests=st.integers(1, 3))
    def registry_hiccups(self, requests: int) -> None:
        """The next requests fail, those after them do not."""
        self.registry.hiccups = requests

    def chosen(self, data: st.DataObject) -> Image:
        """Choose one of the images that were returned."""
        name: str = data.draw(st.sampled_from(sorted(self.last)))
        return self.last[name]


class Store(MemoryStore):
    """A store that can fail in the middle of the work.

    Attributes:
        dies_after: How many requests it still answers; None for any number.
        failed: How many requests had no answer.
        lacked: The objects that it said it does not have.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dies_after: int | None = None
        self.failed = 0
        self.lacked: list[str] = []

    async def head(self, name: str, /) -> Held | None:
        """Look at an object; None when it is not there."""
        held = await super().head(name)
        if held is None:
            self.lacked.append(name)
        return held

    async def _request(self, kind: str) -> None:
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                self.down, self.dies_after = True, None
        try:
            await super()._request(kind)
        except StoreError:
            self.failed += 1
            raise


class Bundles(World):
    """Uploading a directory while store, clock, files and database change."""

    def __init__(self) -> None:
        super().__init__()
        (self.root / "a.py").write_text("1")
        self.store = Store()
        self.digests: dict[object, str] = {}
        self.packs: dict[str, set[str]] = {}

    def wire(self) -> None:
        """Make the uploader of a new process."""

        async def opened() -> Store:
            return self.store

        self.uploader = BundleUploader(
            store=opened,
            deliver=delivered,
            store_url=self.store.url,
            policy=BundlePolicy(fresh_for=FRESH, ttl=TTL),
            listener=self.heard,
            clock=self.clock,
            locks=self.cache / "locks",
        )

    async def uploaded(self) -> Bundle:
        """Upload and remember, as a session does."""
        uploaded = await self.uploader.upload(
            self.root, memory=self.db, size_limit=None
        )
        await self.db.remember(uploaded.records)
        return uploaded.bundle

    @rule(seconds=st.sampled_from(STEPS), answers=st.sampled_from(ANSWERS))
    def upload(self, seconds: float, answers: int | None) -> None:
        """Time passes or jumps, and what comes back is held against the truth."""
        self.clock.advance(seconds)
        if answers is not None:
            self.store.dies_after = answers
        store = self.store
        since, asked = len(self.heard.events), store.requests.total()
        failed, lacked = store.failed, len(store.lacked)
        down, before = store.down, set(store.objects)
        try:
            bundle = self.run(self.uploaded())
        except AweighError:
            bundle = None
            assert store.failed > failed, "it raised although all was answered"
        assert before <= set(store.objects)
        if store.failed == failed or bundle is None:
            for name in store.lacked[lacked:]:
                for digest in self.needing(name):
                    self.refute(digest)
        if bundle is None:
            return
        digest = str(bundle.digest)
        assert self.digests.setdefault(self.content(), digest) == digest
        assert len(set(self.digests.values())) == len(self.digests)
        there = self.is_there(bundle.digest.hex)
        if bundle.origin != "recalled":
            assert there
            assert not down
            assert (bundle.origin == "uploaded") == (before < set(store.objects))
            self.rows[digest] = Row(digest, self.clock.now)
            return
        row = self.rows.get(digest)
        assert row is not None, "it recalls what was never confirmed, or is gone"
        if store.requests.total() == asked:
            assert row.is_fresh(self.clock.now), "it trusts a row that is not fresh"
        elif store.failed > failed:
            assert self.could_not_ask(since)
            assert row.is_usable(self.clock.now)
        else:
            assert there
            self.rows[digest] = Row(digest, self.clock.now)

    def is_there(self, digest: str) -> bool:
        """Whether the store holds all of a bundle."""
        stored = self.store.objects.get(f"bundles/{digest}/manifest")
        if stored is None:
            return False
        found = open_manifest(bytes(stored), Digest(digest), name=digest)
        self.packs[f"sha256:{digest}"] = {pack.name for pack in found.packs}
        return self.packs[f"sha256:{digest}"] <= set(self.store.objects)

    def needing(self, name: str) -> list[str]:
        """Return the bundles that are not whole without an object."""
        whole = [digest for digest, packs in self.packs.items() if name in packs]
        return [*whole, f"sha256:{name.split('/')[1]}"]

    @rule(part=st.sampled_from(("pack", "manifest", "")))
    def delete(self, part: str) -> None:
        """Somebody deletes objects from the store."""
        for name in [name for name in self.store.objects if part in name]:
            del self.store.objects[name]

    @rule()
    def delete_and_fall_silent(self) -> None:
        """Everything is gone, the store says so once, and then nothing more."""
        self.store.down = False
        for seconds, answers in ((0.0, None), (FRESH + 1, 2), (0.0, None)):
            self.upload(seconds, answers)
            self.delete("")

    @rule(down=st.booleans())
    def store_answers(self, down: bool) -> None:  # noqa: FBT001
        """The store goes away, or comes back."""
        self.store.down, self.store.dies_after = down, None


def _machine(machine: type[World], examples: int) -> Any:
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples, stateful_step_count=40, deadline=None
    )
    return case


TestImages = _machine(Images, 200)
TestBundles = _machine(Bundles, 120)


def test_the_machines_know_a_lie_when_they_see_one() -> None:
    """A row beyond its window is neither fresh nor usable; one of the future is not."""
    row = Row("sha256:0", 100.0)
    assert [row.is_fresh(now) for now in (99.0, 100.0, 160.0, 161.0)] == [
        False,
        True,
        True,
        False,
    ]
    assert [row.is_usable(now) for now in (700.0, 701.0)] == [True, False]
