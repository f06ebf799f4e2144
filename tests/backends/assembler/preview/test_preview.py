"""What a build would do is told without doing it."""

import dataclasses
from pathlib import Path

from aweigh.backends.assembler import Foresight, LayerPreviewer, only_engine
from aweigh.image.files import take_snapshot
from aweigh.image.job import Destination, Job
from aweigh.image.preview import PlatformPlan
from aweigh.image.publish import publish
from aweigh.image.request import build_request
from aweigh.image.segments import Prefix, prefix_of
from aweigh.image.spec import ImageSpec
from aweigh.memory import Memory, ReadOnlyMemory
from aweigh.oci import Digest, Index, Manifest, Reference
from aweigh.settings import BuilderName, environment
from aweigh.testing import DictMemory, FakeRegistry
from aweigh.testing.faults import answers
from tests.backends.assembler.conftest import Yard
from tests.backends.assembler.support import (
    AMD64,
    SmallBase,
    root_files,
    tar,
    write_wheel,
)

SITE = "usr/local/lib/python3.11/dist-packages"


def previewer(
    yard: Yard, memory: Memory | None = None, builder: BuilderName = "assemble"
) -> LayerPreviewer:
    """Return the previewer of a machine with this memory."""

    def cut(spec: ImageSpec) -> Prefix | None:
        if builder == "engine":
            return None
        return prefix_of(spec, only_engine, has_engine=builder == "auto")

    foresight = Foresight(
        registry=yard.client,
        resolver=yard.resolver,
        memory=ReadOnlyMemory(memory or DictMemory()),
        cache_dir=yard.directory / "previewer",
        environ=environment(),
        builder=builder,
        cut=cut,
    )
    return LayerPreviewer(yard.client, foresight)


def job_of(yard: Yard, spec: ImageSpec, root: Path, *platforms: str) -> Job:
    """Ask for a spec in the yard's registry."""
    return Destination(registry=yard.fake.host).job(
        spec,
        root=root,
        snapshot=take_snapshot(spec, root),
        platforms=platforms or [str(AMD64)],
        rebuild=False,
        upgrade=False,
    )


async def foreseen(
    yard: Yard,
    spec: ImageSpec,
    root: Path,
    *,
    memory: Memory | None = None,
    builder: BuilderName = "assemble",
) -> PlatformPlan:
    """Explain a spec for one platform; check that nothing was written."""
    sent = len(yard.fake.received)
    (plan,) = await previewer(yard, memory, builder).explain(
        job_of(yard, spec, root), None
    )
    methods = {request.method for request in yard.fake.received[sent:]}
    assert methods <= {"GET", "HEAD"}
    return plan


async def ensure(
    yard: Yard, spec: ImageSpec, root: Path, memory: Memory | None = None
) -> Reference:
    """Build a spec and put it under its tag; return it by digest."""
    job = job_of(yard, spec, root)
    base = job.snapshot.base
    assert base is not None
    found = await yard.client.head_manifest(base)
    assert found is not None
    request = build_request(job, AMD64, base.with_digest(found.digest))
    built = await yard.machine(memory).build(request)
    index, _ = await publish(yard.client, job.reference, {AMD64: built.digest})
    return job.reference.with_digest(index.digest)


def wheels_on(base: Reference, name: str = "team/app") -> ImageSpec:
    """Describe an image with the wheels in ``dist``."""
    return ImageSpec(name, base=str(base)).with_wheel("dist/*.whl")


async def test_what_the_base_has_is_told(yard: Yard, tmp_path: Path) -> None:
    """Equal versions count, other versions do not, hidden ones neither."""
    below = tar(
        {
            **root_files(),
            f"{SITE}/same-1.0.dist-info/METADATA": b"",
            f"{SITE}/gone-1.0.dist-info/METADATA": b"",
        }
    )
    above = tar(
        {
            f"{SITE}/.wh.gone-1.0.dist-info": b"",
            f"{SITE}/other-2.0.dist-info/METADATA": b"",
        }
    )
    base = SmallBase(layers=[below, above]).hold(yard.fake)
    for name in ("same", "gone", "other"):
        write_wheel(tmp_path / "dist", name, {f"{name}.py": ""})
    plan = await foreseen(yard, wheels_on(base), tmp_path)
    assert [(one.name, one.version) for one in plan.in_base] == [("same", "1.0")]


async def test_remembered_facts_without_distributions_are_not_used(
    yard: Yard, tmp_path: Path
) -> None:
    """Facts of the base are kept with its distributions, and read once."""
    files = root_files() | {f"{SITE}/tool-1.0.dist-info/METADATA": b""}
    base = SmallBase(layers=[tar(files)]).hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    memory = DictMemory()
    await ensure(yard, wheels_on(base), tmp_path, memory)
    found = await yard.client.get_manifest(base)
    assert found is not None
    assert isinstance(found[0], Manifest)
    path = f"/v2/bases/small/blobs/{found[0].layers[0].digest}"
    read = len(yard.fake.requests("GET", path))
    changed = wheels_on(base).with_env(A="1")
    plan = await foreseen(yard, changed, tmp_path, memory=memory)
    assert [one.name for one in plan.in_base] == ["tool"]
    assert len(yard.fake.requests("GET", path)) == read


async def test_layers_of_another_repository_are_mounted(
    yard: Yard, tmp_path: Path
) -> None:
    """What this machine remembers of a neighbour is mounted, when it is there."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    memory = DictMemory()
    await ensure(yard, wheels_on(base), tmp_path, memory)
    other = wheels_on(base, "team/other")
    plan = await foreseen(yard, other, tmp_path, memory=memory)
    ours = [layer for layer in plan.layers if layer.kind != "base"]
    assert {layer.reuse.place for layer in ours if layer.reuse} == {"mount"}
    source = f"{yard.fake.host}/team/app"
    assert {layer.reuse.source for layer in ours if layer.reuse} == {source}
    assert {layer.reuse.known_by for layer in ours if layer.reuse} == {"memory"}
    assert plan.totals is not None
    assert (plan.totals.push, plan.totals.download) == (0, 0)
    assert plan.totals.base_mounted == 1
    same = await foreseen(yard, wheels_on(base).with_env(A="1"), tmp_path)
    known = {layer.reuse.known_by for layer in same.layers if layer.reuse}
    assert known == {"base", "registry"}


async def test_what_is_remembered_and_gone_is_made(yard: Yard, tmp_path: Path) -> None:
    """A remembered blob counts only while a registry has it."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    memory = DictMemory()
    await ensure(yard, wheels_on(base), tmp_path, memory)
    changed = wheels_on(base).with_env(A="1")
    gone = answers(404, b'{"errors": [{"code": "BLOB_UNKNOWN"}]}')
    for spec in (changed, wheels_on(base, "team/other")):
        yard.fake.fail(gone, method="HEAD", path="/blobs/", times=20)
        plan = await foreseen(yard, spec, tmp_path, memory=memory)
        assert [one.kind for one in plan.layers] == ["base", "light", "environment"]
        assert all(one.reuse is None for one in plan.layers if one.kind != "base")
        assert plan.totals is not None
        assert plan.totals.push > 0


async def test_a_base_elsewhere_is_copied(yard: Yard, tmp_path: Path) -> None:
    """Layers of another registry's base move through this machine."""
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    async with FakeRegistry() as elsewhere:
        base = SmallBase().hold(elsewhere)
        plan = await foreseen(yard, wheels_on(base), tmp_path)
    below = plan.layers[0]
    assert below.reuse is not None
    assert (below.kind, below.reuse.place) == ("base", "copy")
    assert plan.totals is not None
    assert plan.totals.base_copied == 1
    assert plan.totals.download >= (below.size or 0) > 0
    assert plan.totals.push >= (below.size or 0)


async def test_each_layer_says_why(yard: Yard, tmp_path: Path) -> None:
    """Heavy, light, own, environment and files: kind, reason and size."""
    base = SmallBase().hold(yard.fake)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.ini").write_text("a = 1\n")
    for name in ("huge", "tiny"):
        write_wheel(tmp_path / "dist", name, {f"{name}.py": ""})
    yard.resolver.heavy = frozenset({"huge"})
    spec = wheels_on(base).with_files("conf", "/etc/app").with_workdir("/work")
    plan = await foreseen(yard, spec, tmp_path)
    told = {layer.kind: layer for layer in plan.layers}
    assert told["heavy"].why == "huge is 30 MB: a layer of its own"
    assert (told["heavy"].size, told["heavy"].exact) == (30_000_000, False)
    assert told["light"].why.endswith("by name: tiny")
    assert "lock of 2 packages" in told["environment"].why
    files = [layer for layer in plan.layers if layer.kind == "files"]
    assert [layer.name for layer in files] == ["files /etc/app", "workdir /work"]
    assert files[0].size == len("a = 1\n")
    in_order = await foreseen(yard, spec.replace(optimize_layers=False), tmp_path)
    assert any("in your order" in layer.why for layer in in_order.layers)


async def test_files_alone_need_no_resolver(yard: Yard, tmp_path: Path) -> None:
    """Without packages there is no environment, and the sums hold all the same."""
    base = SmallBase().hold(yard.fake)
    (tmp_path / "a.ini").write_text("a = 1\n")
    spec = ImageSpec("team/app", base=str(base)).with_files("a.ini", "/app/a.ini")
    plan = await foreseen(yard, spec, tmp_path)
    assert [layer.kind for layer in plan.layers] == ["base", "files"]
    assert plan.totals is not None
    assert plan.totals.download == 0
    assert yard.resolver.requests == []


async def test_what_a_build_would_refuse_is_told(yard: Yard, tmp_path: Path) -> None:
    """A wheel that does not fit, a step that needs an engine, a base without Python."""
    base = SmallBase().hold(yard.fake)
    apt = ImageSpec("team/app", base=str(base)).with_apt("git")
    refused = await foreseen(yard, apt, tmp_path)
    assert (refused.layers, refused.builder) == ((), "")
    assert "with_apt('git')" in refused.failure
    assert "builder" in refused.hint
    write_wheel(tmp_path / "dist", "tool", {"t.py": ""}, tags="cp39-cp39-any")
    plan = await foreseen(yard, wheels_on(base), tmp_path)
    assert "cannot run on the base" in plan.failure


async def test_the_engine_steps_in_and_says_why(yard: Yard, tmp_path: Path) -> None:
    """With ``auto`` what cannot be assembled is the engine's, with the reason."""
    empty = SmallBase(layers=[tar({"bin/sh": b""})]).hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    spec = wheels_on(empty)
    assert "has no Python" in (await foreseen(yard, spec, tmp_path)).failure
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    dockerfile = ImageSpec.from_dockerfile("Dockerfile", name="team/app", context=".")
    plan = await foreseen(yard, dockerfile, tmp_path, builder="auto")
    assert plan.builder == "engine"
    assert [layer.why for layer in plan.layers] == [
        "engine: Dockerfile says what is in it"
    ]
    async with FakeRegistry() as elsewhere:
        elsewhere.fail(answers(400), times=20)
        there = Reference.parse(f"{elsewhere.host}/a/b:1")
        plan = await foreseen(yard, wheels_on(there), tmp_path, builder="auto")
    assert plan.builder == "engine"
    assert "its base cannot be read" in plan.note


async def test_a_registry_that_fails_is_a_note(yard: Yard, tmp_path: Path) -> None:
    """Errors of ours are told, never raised; other platforms are tried."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    spec = wheels_on(base)
    yard.fake.fail(answers(400), method="HEAD", path="/blobs/")
    plan = await foreseen(yard, spec, tmp_path)
    assert "layers are not known" in plan.note
    there = await ensure(yard, spec, tmp_path)
    job = job_of(yard, spec, tmp_path)
    gone = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
    for fault, path in (
        (answers(400), "/manifests/"),
        (answers(400), "/blobs/"),
        (answers(404, gone), f"/manifests/{await platform_digest(yard, there)}"),
    ):
        yard.fake.fail(fault, path=path)
        (plan,) = await previewer(yard).explain(job, there.digest)
        assert plan.exists
        assert "layers are not known" in plan.note


async def platform_digest(yard: Yard, index: Reference) -> Digest:
    """Return the digest of the only platform of an image."""
    found = await yard.client.get_manifest(index)
    assert found is not None
    assert isinstance(found[0], Index)
    return found[0].manifests[0].digest


async def test_a_registry_that_hides_has_nothing(yard: Yard, tmp_path: Path) -> None:
    """Registries hide what does not exist yet: then it is made, as a build would."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    memory = DictMemory()
    await ensure(yard, wheels_on(base), tmp_path, memory)
    yard.fake.fail(answers(401), method="HEAD", path="/blobs/", times=20)
    changed = wheels_on(base).with_env(A="1")
    plan = await foreseen(yard, changed, tmp_path, memory=memory)
    assert plan.layers
    assert all(layer.reuse is None for layer in plan.layers if layer.kind != "base")


async def test_engine_rows_are_in_the_order_of_the_engine(
    yard: Yard, tmp_path: Path
) -> None:
    """What could not be pinned, files, directories and the project have their rows."""
    (tmp_path / "a.ini").write_text("a = 1\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    base = SmallBase(layers=[tar({"bin/sh": b""})]).hold(yard.fake)
    spec = (
        ImageSpec("team/app", base=str(base))
        .with_packages("tool")
        .with_project(".", install_project=True)
        .with_files("a.ini", "/app/a.ini")
        .with_workdir("/app")
        .with_run("true", "false")
        .with_env(A="1")
    )
    plan = await foreseen(yard, spec, tmp_path, builder="engine")
    assert [(layer.kind, layer.name) for layer in plan.layers] == [
        ("engine", "step-0"),
        ("engine", "step-1"),
        ("first-party", "project-1"),
        ("files", "files /app/a.ini"),
        ("files", "workdir /app"),
        ("engine", "step-4"),
    ]
    assert plan.layers[0].why.endswith("it decides the versions of these packages")
    assert plan.layers[-1].why == "engine: with_run('true', 'false')"
    assert "not pinned" in plan.note


async def test_what_exists_is_read_from_its_manifest(
    yard: Yard, tmp_path: Path
) -> None:
    """Names, kinds and exact sizes; a base that cannot be asked is a note."""
    base = SmallBase().hold(yard.fake)
    (tmp_path / "a.ini").write_text("a = 1\n")
    for name in ("huge", "tiny"):
        write_wheel(tmp_path / "dist", name, {f"{name}.py": ""})
    yard.resolver.heavy = frozenset({"huge"})
    spec = wheels_on(base).with_files("a.ini", "/app/a.ini")
    there = await ensure(yard, spec, tmp_path)
    job = job_of(yard, spec, tmp_path)
    (plan,) = await previewer(yard).explain(job, there.digest)
    kinds = [layer.kind for layer in plan.layers]
    assert kinds == ["base", "heavy", "light", "environment", "files"]
    assert plan.layers[0].why == "somebody"
    assert all(layer.exact for layer in plan.layers)
    assert (plan.base_moved, plan.note) == (False, "")
    yard.fake.fail(answers(400), path="bases/small/manifests", times=2)
    (plan,) = await previewer(yard).explain(job, there.digest)
    assert plan.base_moved is None
    assert "whether the base has moved" in plan.note
    found = await yard.client.head_manifest(base)
    assert found is not None
    yard.fake.fail(answers(400), path="/manifests/aw-")
    (plan,) = await previewer(yard).explain(job, None)
    assert (plan.exists, plan.layers) == (False, ())
    fixed = spec.replace(base=str(base.with_digest(found.digest)))
    there = await ensure(yard, fixed, tmp_path)
    job = job_of(yard, fixed, tmp_path)
    (plan,) = await previewer(yard).explain(job, there.digest)
    assert (plan.base_is, plan.base_moved) == (None, None)


async def test_an_image_in_the_engine_is_no_book(yard: Yard, tmp_path: Path) -> None:
    """What only the engine has is told to exist, and what is missing is planned."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    spec = wheels_on(base)
    job = dataclasses.replace(job_of(yard, spec, tmp_path), location="engine")
    found = await yard.client.head_manifest(base)
    assert found is not None
    (plan,) = await previewer(yard, builder="engine").explain(job, found.digest)
    assert plan.exists
    assert "not written down" in plan.note
    (plan,) = await previewer(yard, builder="engine").explain(job, None)
    assert (plan.exists, plan.builder) == (False, "engine")


async def test_a_project_that_does_not_build_here_is_the_engines(
    yard: Yard, tmp_path: Path
) -> None:
    """The reason is told; without an engine it is what a build would end with."""
    (tmp_path / "broken.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "broken"\n'
        'backend-path = ["."]\n'
    )
    base = SmallBase().hold(yard.fake)
    spec = ImageSpec("team/app", base=str(base)).with_project(".", install_project=True)
    plan = await foreseen(yard, spec, tmp_path, builder="auto")
    assert plan.builder == "engine"
    assert "does not build on this machine" in plan.note
    found = await yard.client.head_manifest(base)
    assert found is not None
    pinned = spec.replace(base=str(base.with_digest(found.digest)))
    plan = await foreseen(yard, pinned, tmp_path)
    assert "does not build on this machine" in plan.failure
    assert not list((yard.directory / "previewer").rglob("project"))


async def test_a_prefix_may_bring_what_the_base_lacks(
    yard: Yard, tmp_path: Path
) -> None:
    """A base without Python is no failure where an engine's step may add it."""
    base = SmallBase(layers=[tar({"bin/sh": b""})]).hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": ""})
    spec = (
        ImageSpec("team/app", base=str(base))
        .with_apt("python3")
        .with_wheel("dist/*.whl")
    )
    plan = await foreseen(yard, spec, tmp_path, builder="auto")
    assert (plan.failure, plan.totals) == ("", None)
    assert [layer.kind for layer in plan.layers] == ["prefix"]
    assert "has no Python yet" in plan.note
