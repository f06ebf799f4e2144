"""Images that are built on an image of their own first steps."""

import asyncio
from pathlib import Path

import pytest

from aweigh.errors import BuildError
from aweigh.events import ImageEnsured, Warned
from aweigh.image.segments import Prefix, prefix_of
from aweigh.image.spec import ImageSpec
from aweigh.image.steps import RunStep, Step
from aweigh.oci import Index, Reference
from aweigh.oci.manifest import OCI_INDEX
from aweigh.testing.doubles import FakeToolBox
from tests.image.test_ensure import Bench

BASE = "base.example/python:3"
RUN = ImageSpec("train", base=BASE).with_packages("numpy").with_run("make")
SPEC = RUN.with_packages("idna")


def is_run(step: Step) -> bool:
    """Only commands are the engine's here."""
    return isinstance(step, RunStep)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an ensurer that parts specs."""
    made = Bench(tmp_path)
    made.ensurer._toolbox = FakeToolBox(
        made.checker, made.builder, lambda spec: prefix_of(spec, is_run)
    )
    return made


async def test_each_prefix_is_an_image(bench: Bench) -> None:
    """The lowest is built first, each on the one below, with labels of its own."""
    base = Reference.parse(BASE)
    made = await bench.manifests.put_manifest(
        base, Index(manifests=()).to_bytes(), OCI_INDEX
    )
    image = await bench.ensure(SPEC)
    lowest, middle, top = bench.builder.requests
    assert lowest.spec == RUN.replace(steps=RUN.steps[:1])
    assert middle.spec == RUN
    assert top.spec == SPEC
    assert (lowest.base, lowest.prefix) == (base.with_digest(made.digest), None)
    assert middle.done == {0}
    assert top.prefix == Prefix(steps=frozenset({0, 1}), environments=1)
    below = await bench.ensure(RUN)
    assert below.origin == "recalled"
    assert top.base == below.reference.with_digest(below.digest)
    assert below.reference.name == image.reference.name
    name, digest = (
        f"org.opencontainers.image.base.{one}" for one in ("name", "digest")
    )
    assert {one.labels[name] for one in bench.builder.requests} == {BASE}
    assert [digest in one.labels for one in bench.builder.requests] == [
        True,
        False,
        False,
    ]
    specs = {one.labels["aweigh.spec-digest"] for one in bench.builder.requests}
    assert len(specs) == 3
    assert bench.heard.of(ImageEnsured)[0].reference == str(image)


async def test_what_specs_share_is_built_once(bench: Bench) -> None:
    """Two specs that begin alike, at the same time and later, share that image."""
    await asyncio.gather(
        bench.ensure(SPEC), bench.ensure(RUN.with_packages("humanize"))
    )
    await bench.ensure(RUN.with_env(A="1"))
    steps = [len(request.spec.steps) for request in bench.builder.requests]
    assert sorted(steps) == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("upgrade", [False, True])
async def test_forcing_goes_down(
    bench: Bench,
    upgrade: bool,  # noqa: FBT001
) -> None:
    """What is built anew stands on what is."""
    await bench.ensure(SPEC)
    await bench.ensure(SPEC, rebuild=not upgrade, upgrade=upgrade)
    again = bench.builder.requests[3:]
    assert [len(request.spec.steps) for request in again] == [1, 2, 3]
    assert {request.refresh for request in again} == {upgrade}
    assert again[-1].base != bench.builder.requests[2].base


async def test_a_prefix_that_is_gone_is_built_again(bench: Bench) -> None:
    """The registry is asked before anything is built on what is remembered."""
    await bench.ensure(RUN)
    bench.manifests.stored.clear()
    await bench.ensure(SPEC)
    steps = [len(request.spec.steps) for request in bench.builder.requests]
    assert steps == [1, 2, 1, 2, 3]


async def test_a_failing_prefix_fails_the_whole(bench: Bench) -> None:
    """Nothing is built on it, and nothing remembered."""
    bench.builder.error = BuildError("RUN failed", hint="mend it")
    with pytest.raises(BuildError):
        await bench.ensure(SPEC)
    assert len(bench.builder.requests) == 1
    assert bench.memory.records == {}


async def test_cancelling_ends_the_prefix(bench: Bench) -> None:
    """Who cancels the whole cancels what is built for its sake."""
    bench.builder.gate.clear()
    task = asyncio.create_task(bench.ensure(SPEC))
    await bench.builder.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(bench.flights) == 0
    bench.builder.gate.set()
    assert (await bench.ensure(SPEC)).origin == "built"


async def test_files_of_a_prefix_are_those_of_the_whole(
    bench: Bench, tmp_path: Path
) -> None:
    """They are read once; what was edited meanwhile is told and not remembered."""
    config = tmp_path / "config"
    config.write_text("1")
    spec = (
        ImageSpec("train", base=BASE)
        .with_env(A="1")
        .with_files("config", "/app/config")
        .with_run("make")
        .with_packages("idna")
    )
    bench.builder.gate.clear()
    task = asyncio.create_task(bench.ensure(spec))
    await bench.builder.started.wait()
    config.write_text("2")
    bench.builder.gate.set()
    await task
    first, second = bench.builder.requests
    held = {member.path: member.digest for member in first.snapshot.members}
    assert held == {member.path: member.digest for member in second.snapshot.members}
    assert "changed during the build" in bench.heard.of(Warned)[-1].message
    assert bench.memory.records == {}


async def test_every_platform_has_its_prefix(bench: Bench) -> None:
    """One index below, with all platforms; a platform that is there is not built."""
    both = ("linux/amd64", "linux/arm64")
    await bench.ensure(RUN)
    await bench.ensure(SPEC, platforms=both)
    made = [
        (len(one.spec.steps), str(one.platform)) for one in bench.builder.requests[2:]
    ]
    assert made == [
        (1, "linux/arm64"),
        (2, "linux/arm64"),
        (3, "linux/amd64"),
        (3, "linux/arm64"),
    ]
    bases = {one.base for one in bench.builder.requests if len(one.spec.steps) == 3}
    assert len(bases) == 1
