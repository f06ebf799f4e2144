"""Which answer leads to which work, with collaborators that keep count."""

import asyncio
from pathlib import Path

import pytest

from aweigh.concurrency.single_flight import SingleFlight
from aweigh.errors import BuildError, RegistryError, SpecError, UndecidedError
from aweigh.events import Checked, ImageEnsured, Warned
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.image.ensure import ImageEnsurer
from aweigh.image.image import Image
from aweigh.image.job import Destination
from aweigh.image.recall import ImagePolicy
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Digest, Index, Platform, Reference
from aweigh.oci.manifest import OCI_INDEX
from aweigh.settings import OnUnknown
from aweigh.testing.doubles import (
    DictManifests,
    DictMemory,
    FakeBuilder,
    FakeClock,
    FakeToolBox,
    RecordingListener,
    ScriptedChecker,
)

AMD64 = Platform.parse("linux/amd64")
SPEC = ImageSpec("train", base="base.example/python:3").with_packages("pandas")
ABSENT = Absent("404")


class Bench:
    """An ensurer with doubles all around it."""

    def __init__(
        self,
        root: Path,
        *verdicts: Verdict,
        registry: str | None = "r.example/acme",
        on_unknown: OnUnknown = "fail",
        offline: bool = False,
    ) -> None:
        self.root = root
        self.clock = FakeClock()
        self.memory = DictMemory()
        self.heard = RecordingListener()
        self.checker = ScriptedChecker(*verdicts or (ABSENT,))
        self.manifests = DictManifests()
        self.builder = FakeBuilder(self.manifests)
        self.flights = SingleFlight[Image]()
        self.ensurer = ImageEnsurer(
            destination=Destination(registry=registry),
            policy=ImagePolicy(
                fresh_for=60, ttl=600, on_unknown=on_unknown, offline=offline
            ),
            toolbox=FakeToolBox(self.checker, self.builder),
            flights=self.flights,
            locks=root / "locks",
            listener=self.heard,
            clock=self.clock,
        )

    async def ensure(
        self,
        spec: ImageSpec = SPEC,
        *,
        platforms: tuple[str, ...] | None = ("linux/amd64",),
        rebuild: bool = False,
        upgrade: bool = False,
    ) -> Image:
        """Ensure the image."""
        return await self.ensurer.ensure(
            spec,
            root=self.root,
            memory=self.memory,
            platforms=platforms,
            rebuild=rebuild,
            upgrade=upgrade,
        )


async def test_absent_is_built_pushed_and_remembered(tmp_path: Path) -> None:
    """The first call builds; the second answers from memory and asks nobody."""
    bench = Bench(tmp_path)
    built = await bench.ensure()
    assert (built.origin, built.location) == ("built", "registry")
    assert str(built).startswith("r.example/acme/train@sha256:")
    found = await bench.manifests.get_manifest(built.reference)
    assert found is not None
    assert isinstance(found[0], Index)
    assert found[1].digest == built.digest
    recalled = await bench.ensure()
    assert recalled.origin == "recalled"
    assert (recalled.digest, str(recalled)) == (built.digest, str(built))
    assert len(bench.builder.requests) == len(bench.checker.asked) == 1
    assert [e.origin for e in bench.heard.of(ImageEnsured)] == ["built", "recalled"]


async def test_present_is_found_and_remembered(tmp_path: Path) -> None:
    """What the registry has is not built; its digest is the answer."""
    there = Descriptor(media_type=OCI_INDEX, digest=Digest.of(b"x"), size=3)
    bench = Bench(tmp_path, Present(there, frozenset({AMD64})))
    image = await bench.ensure()
    assert (image.origin, image.digest) == ("found", there.digest)
    assert bench.builder.requests == []
    assert (await bench.ensure()).origin == "recalled"


async def test_unknown_is_an_error_with_every_reason(tmp_path: Path) -> None:
    """Nobody could say: nothing is built and nothing assumed."""
    bench = Bench(tmp_path, Unknown("503 from r.example", "ask its operator"))
    with pytest.raises(UndecidedError, match=r"503 from r\.example") as caught:
        await bench.ensure()
    assert "ask its operator" in caught.value.hint
    assert "AWEIGH_ON_UNKNOWN" in caught.value.hint
    assert bench.builder.requests == []
    assert bench.memory.records == {}


async def test_unknown_builds_when_told_to(tmp_path: Path) -> None:
    """`on_unknown = build` builds."""
    bench = Bench(tmp_path, Unknown("503"), on_unknown="build")
    assert (await bench.ensure()).origin == "built"


async def test_offline_never_asks_and_never_builds(tmp_path: Path) -> None:
    """Offline only memory counts, whatever on_unknown says."""
    bench = Bench(tmp_path, offline=True, on_unknown="build")
    with pytest.raises(UndecidedError, match="only memory"):
        await bench.ensure()
    assert bench.checker.asked == []
    assert bench.builder.requests == []


async def test_changed_requirement_misses(tmp_path: Path) -> None:
    """Another spec is another image."""
    bench = Bench(tmp_path)
    first = await bench.ensure()
    second = await bench.ensure(SPEC.with_packages("numpy"))
    assert first.reference.tag != second.reference.tag
    assert len(bench.builder.requests) == 2


async def test_changed_file_misses(tmp_path: Path) -> None:
    """The content of a file that the spec copies is part of the question."""
    bench = Bench(tmp_path)
    (tmp_path / "config").write_text("1")
    spec = SPEC.with_files("config", "/app/config")
    first = await bench.ensure(spec)
    assert (await bench.ensure(spec)).origin == "recalled"
    (tmp_path / "config").write_text("2")
    assert (await bench.ensure(spec)).reference.tag != first.reference.tag


async def test_another_platform_builds_only_that_one(tmp_path: Path) -> None:
    """Adding a platform keeps what is there, and memory knows both."""
    bench = Bench(tmp_path)
    await bench.ensure()
    both = await bench.ensure(platforms=("linux/amd64", "linux/arm64"))
    asked = [str(request.platform) for request in bench.builder.requests]
    assert asked == ["linux/amd64", "linux/arm64"]
    assert len(both.platforms) == 2
    assert (await bench.ensure(platforms=("linux/arm64",))).origin == "recalled"


@pytest.mark.parametrize("upgrade", [False, True])
async def test_forced_builds_although_remembered(
    tmp_path: Path,
    upgrade: bool,  # noqa: FBT001
) -> None:
    """Rebuild and upgrade move the tag and replace the row; only upgrade refreshes."""
    bench = Bench(tmp_path)
    first = await bench.ensure()
    again = await bench.ensure(rebuild=not upgrade, upgrade=upgrade)
    assert again.origin == "built"
    assert again.digest != first.digest
    assert bench.builder.requests[-1].refresh is upgrade
    assert (await bench.ensure()).digest == again.digest


async def test_base_is_pinned_for_all_platforms(tmp_path: Path) -> None:
    """The base's tag is resolved once, and the label says to what."""
    bench = Bench(tmp_path)
    base = Reference.parse("base.example/python:3")
    made = await bench.manifests.put_manifest(
        base, Index(manifests=()).to_bytes(), OCI_INDEX
    )
    await bench.ensure(platforms=("linux/amd64", "linux/arm64"))
    for request in bench.builder.requests:
        assert request.base == base.with_digest(made.digest)
        labels = request.labels
        assert labels["org.opencontainers.image.base.name"] == str(base)
        assert labels["org.opencontainers.image.base.digest"] == str(made.digest)
    tags = {request.reference.tag for request in bench.builder.requests}
    assert {tag.rpartition("-linux-")[2] for tag in tags} == {"amd64", "arm64"}


async def test_unresolvable_base_is_left_to_the_builder(tmp_path: Path) -> None:
    """Air-gapped engines have bases that no registry answers for."""
    bench = Bench(tmp_path)

    async def refuse(_reference: Reference, /, **_: object) -> None:
        raise RegistryError("no route", hint="plug it in", registry="base.example")

    bench.manifests.head_manifest = refuse  # type: ignore[method-assign]
    await bench.ensure()
    assert bench.builder.requests[0].base == Reference.parse("base.example/python:3")
    assert "no route" in bench.heard.of(Warned)[0].message


async def test_five_callers_make_one_build(tmp_path: Path) -> None:
    """Equal calls at the same time share one check and one build."""
    bench = Bench(tmp_path)
    images = await asyncio.gather(*(bench.ensure() for _ in range(5)))
    assert len({image.digest for image in images}) == 1
    assert len(bench.builder.requests) == len(bench.checker.asked) == 1


async def test_two_ensurers_make_one_build(tmp_path: Path) -> None:
    """Sessions that share a machine share the lock, and the second looks again."""
    bench = Bench(tmp_path)
    other = Bench(tmp_path)
    other.memory, other.ensurer._toolbox = bench.memory, bench.ensurer._toolbox
    first, second = await asyncio.gather(bench.ensure(), other.ensure())
    assert first.digest == second.digest
    assert len(bench.builder.requests) == 1


async def test_failed_build_is_not_remembered(tmp_path: Path) -> None:
    """An error reaches every waiter; the next call tries again."""
    bench = Bench(tmp_path)
    bench.builder.error = BuildError("RUN failed", hint="mend it")
    outcomes = await asyncio.gather(
        *(bench.ensure() for _ in range(3)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [BuildError] * 3
    assert len(bench.builder.requests) == 1
    bench.builder.error = None
    assert (await bench.ensure()).origin == "built"


async def test_cancelled_build_is_not_remembered(tmp_path: Path) -> None:
    """Cancelling the only caller ends the work and leaves the way free."""
    bench = Bench(tmp_path)
    bench.builder.gate.clear()
    task = asyncio.create_task(bench.ensure())
    await bench.builder.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(bench.flights) == 0
    assert bench.memory.records == {}
    bench.builder.gate.set()
    assert (await bench.ensure()).origin == "built"


async def test_file_edited_during_the_build_is_not_remembered(tmp_path: Path) -> None:
    """The image is right for what was read; the row must not claim more."""
    bench = Bench(tmp_path)
    config = tmp_path / "config"
    config.write_text("1")
    spec = SPEC.with_files("config", "/app/config")
    bench.builder.gate.clear()
    task = asyncio.create_task(bench.ensure(spec))
    await bench.builder.started.wait()
    config.write_text("2")
    bench.builder.gate.set()
    image = await task
    assert "changed during the build" in bench.heard.of(Warned)[0].message
    assert bench.memory.records == {}
    second = await bench.ensure(spec)
    assert second.reference.tag != image.reference.tag


async def test_forgotten_image_is_checked_again(tmp_path: Path) -> None:
    """Invalidating makes the next call ask the registry."""
    bench = Bench(tmp_path)
    image = await bench.ensure()
    await bench.ensurer.forget(image, bench.memory)
    await bench.ensure()
    assert len(bench.checker.asked) == 2


async def test_without_registry_the_engine_holds_one_platform(tmp_path: Path) -> None:
    """Local images are named by their id, stay unpushed, and have one platform."""
    bench = Bench(tmp_path, registry=None)
    image = await bench.ensure()
    assert image.location == "engine"
    assert str(image) == str(image.digest)
    assert bench.builder.requests[0].push is False
    assert (await bench.ensure()).origin == "recalled"
    with pytest.raises(SpecError, match="2 platforms"):
        await bench.ensure(platforms=("linux/amd64", "linux/arm64"))


@pytest.mark.parametrize(
    ("name", "registry", "expected"),
    [
        ("train", "r.example/acme", "r.example/acme/train"),
        ("team/train", "r.example/", "r.example/team/train"),
        ("ghcr.io/acme/train", "r.example", "ghcr.io/acme/train"),
        ("localhost:5000/train", None, "localhost:5000/train"),
        ("train", None, "docker.io/library/train"),
    ],
)
async def test_destination(
    tmp_path: Path, name: str, registry: str | None, expected: str
) -> None:
    """A name with a host is complete; others go below the session's registry."""
    bench = Bench(tmp_path, registry=registry)
    assert (await bench.ensure(ImageSpec(name, base="b"))).reference.name == expected


async def test_events_tell_who_answered(tmp_path: Path) -> None:
    """Each checker's verdict is heard, in order."""
    bench = Bench(tmp_path)
    await bench.ensure()
    await bench.ensure()
    told = [(event.checker, event.verdict) for event in bench.heard.of(Checked)]
    assert told == [("cache", "unknown"), ("registry", "absent"), ("cache", "present")]
