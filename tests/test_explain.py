"""Explaining layers against a real registry: told as they are, and nothing changed."""

import dataclasses
import json
import uuid
from pathlib import Path

import aiodocker

from aweigh import ImageSpec, Settings, open_session
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.events import BuildStepFinished, silent
from aweigh.image.preview import PlannedLayer, PlatformPlan
from aweigh.oci import Index, Manifest, Reference
from aweigh.testing import RecordingListener
from tests.backends.registry_support import Nobody
from tests.conftest import AccessLog
from tests.services import Services


def packages_spec(services: Services) -> ImageSpec:
    """Return a spec of a few packages that equals no other test's."""
    return (
        ImageSpec("explained", base=services.base)
        .with_packages("humanize==4.13.0", "idna==3.10")
        .with_env(NONCE=uuid.uuid4().hex)
    )


def assembling(live: Settings) -> Settings:
    """Return settings that need no engine, and have none."""
    nowhere = f"unix://{live.cache_dir}/no.sock"
    return dataclasses.replace(live, builder="assemble", engine=nowhere)


async def explained(settings: Settings, spec: ImageSpec) -> PlatformPlan:
    """Explain a spec for this machine's platform in a session of its own."""
    async with open_session(settings) as session:
        (plan,) = (await session.explain(spec)).image.plans
    return plan


def made(plan: PlatformPlan) -> list[PlannedLayer]:
    """Return the layers that nobody has."""
    return [layer for layer in plan.layers if layer.reuse is None]


async def test_before_during_and_after(live: Settings, services: Services) -> None:
    """First all is made, then all is there, then only what a new package touches."""
    settings, spec = assembling(live), packages_spec(services)
    first = await explained(settings, spec)
    assert (first.exists, first.builder, first.failure) == (False, "assemble", "")
    kinds = [layer.kind for layer in first.layers]
    assert kinds[0] == "base"
    assert kinds[-1] == "environment"
    assert {layer.kind for layer in made(first)} >= {"light", "environment"}
    versions = {one.name: one.version for row in first.layers for one in row.packages}
    assert versions == {"humanize": "4.13.0", "idna": "3.10"}
    assert first.totals is not None
    assert first.totals.base_mounted == kinds.count("base")
    assert not any(layer.exact for layer in made(first))
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        await session.ensure_image(spec)
    assert len([one for one in heard.of(BuildStepFinished) if not one.cached]) == len(
        made(first)
    )
    after = await explained(settings, spec)
    assert (after.exists, after.base_moved, after.totals) == (True, False, None)
    assert [one.name for one in after.layers] == [one.name for one in first.layers]
    assert all(layer.exact and layer.reuse for layer in after.layers)
    more = await explained(settings, spec.with_packages("certifi"))
    assert [one.kind for one in made(more)] == ["light", "environment"]
    assert {one.reuse.known_by for one in more.layers if one.reuse} == {
        "base",
        "registry",
    }
    assert more.totals is not None
    assert more.totals.push < first.totals.push + first.totals.reused
    assert more.totals.base_present == kinds.count("base")


async def test_what_is_foreseen_is_what_moves(
    live: Settings, services: Services
) -> None:
    """The layers that a build makes are those that explain called new."""
    settings, spec = assembling(live), packages_spec(services)
    async with open_session(settings) as session:
        await session.ensure_image(spec)
    changed = spec.with_packages("certifi")
    plan = await explained(settings, changed)
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        await session.ensure_image(changed)
    steps = {one.step for one in heard.of(BuildStepFinished) if not one.cached}
    assert steps == {f"layer {layer.name}" for layer in made(plan)}


async def test_nothing_is_built_pushed_or_remembered(
    live: Settings, services: Services, access_log: AccessLog, repository: str
) -> None:
    """Only GET and HEAD reach the registry; engine and memory stay as they were."""
    settings = dataclasses.replace(live, builder="auto")
    spec = packages_spec(services)
    async with open_session(settings) as session:
        await session.ensure_image(spec)
    before = {path: path.read_bytes() for path in files(live.cache_dir)}
    images = await engine_images(services)
    access_log.mark()
    for one in (
        spec,
        spec.with_packages("certifi"),
        spec.with_apt("git"),
        spec.with_packages("certifi").with_run("true"),
    ):
        plan = await explained(settings, one)
        assert plan.layers
    name = repository.partition("/")[2]
    requests = [line for line in access_log.lines() if f"/{name}/" in line]
    assert requests
    assert {line.split()[0] for line in requests} <= {"GET", "HEAD"}
    assert {path: path.read_bytes() for path in files(live.cache_dir)} == before
    assert await engine_images(services) == images


def files(directory: Path) -> list[Path]:
    """List what is remembered, without what SQLite keeps beside its database."""
    return [
        path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm", ".lock"))
    ]


async def engine_images(services: Services) -> set[str]:
    """Return the ids of the engine's images that are named like the test's."""
    async with aiodocker.Docker(url=services.engine) as docker:
        found = await docker.images.list()
    return {
        image["Id"]
        for image in found
        if any("/explained" in tag for tag in image.get("RepoTags") or [])
    }


async def test_engine_steps_are_told_without_an_engine(
    live: Settings, services: Services
) -> None:
    """What an engine would do is known from the spec and the lock."""
    nowhere = f"unix://{live.cache_dir}/no.sock"
    settings = dataclasses.replace(live, builder="engine", engine=nowhere)
    plan = await explained(settings, packages_spec(services).with_apt("git"))
    assert plan.builder == "engine"
    assert "engine's cache" in plan.note
    assert plan.layers[0].why == "engine: with_apt('git')"
    assert {"light", "environment"} <= {layer.kind for layer in plan.layers}
    assert plan.totals is None


async def test_prefix_images_are_steps(live: Settings, services: Services) -> None:
    """A prefix that is missing is foreseen with what goes on it, then found."""
    settings = dataclasses.replace(live, builder="auto")
    below = ImageSpec("explained", base=services.base).with_run(
        f"echo {uuid.uuid4().hex}"
    )
    spec = below.with_packages("idna==3.10")
    plan = await explained(settings, spec)
    assert [layer.kind for layer in plan.layers if layer.kind != "base"] == [
        "prefix",
        "light",
        "environment",
    ]
    assert "would be built" in plan.note
    async with open_session(settings) as session:
        await session.ensure_image(spec)
    again = await explained(settings, spec.with_packages("certifi"))
    prefix = [layer for layer in again.layers if layer.kind == "prefix"]
    assert prefix
    assert all(layer.reuse and "exists" in layer.why for layer in prefix)
    assert len(made(again)) == 2
    command = await explained(settings, spec.with_run("true"))
    assert command.builder == "engine"
    assert [layer.kind for layer in command.layers] == ["prefix", "engine"]
    assert "exists" in command.layers[0].why
    upon = packages_spec(services).with_run("true").with_packages("certifi")
    assert "known once it exists" in (await explained(settings, upon)).note


async def test_a_moved_base_is_noticed(
    live: Settings, services: Services, repository: str
) -> None:
    """Another image under the base's tag: told, until a rebuild takes it."""
    tag = Reference.parse(f"{repository}/base:1")
    async with open_registry(Nobody(), listener=silent) as registry:
        manifest = await hold_copy(registry, Reference.parse(services.base), tag)
        spec = packages_spec(services).replace(base=str(tag))
        settings = assembling(live)
        async with open_session(settings) as session:
            await session.ensure_image(spec)
            (same,) = (await session.explain(spec)).image.plans
            assert same.base_moved is False
            newer = dataclasses.replace(manifest, annotations={"release": "2"})
            await registry.put_manifest(tag, newer.to_bytes(), newer.media_type)
            (moved,) = (await session.explain(spec)).image.plans
            assert (moved.exists, moved.base_moved) == (True, True)
            assert moved.base_was != moved.base_is
            await session.ensure_image(spec, rebuild=True)
            (again,) = (await session.explain(spec)).image.plans
            assert again.base_moved is False


async def hold_copy(
    registry: RegistryClient, source: Reference, target: Reference
) -> Manifest:
    """Let a repository hold an image of another; return its manifest."""
    found = await registry.get_manifest(source)
    assert found is not None
    if isinstance(found[0], Index):
        source = source.with_digest(found[0].manifests[0].digest)
        found = await registry.get_manifest(source)
        assert found is not None
    manifest = found[0]
    assert isinstance(manifest, Manifest)
    for blob in (manifest.config, *manifest.layers):
        assert await registry.mount_blob(target, blob, source.repository)
    await registry.put_manifest(target, manifest.to_bytes(), manifest.media_type)
    return manifest


async def test_what_cannot_be_resolved_is_the_answer(
    live: Settings, services: Services
) -> None:
    """The user's own mistake is told; the rest of the plan stands."""
    spec = packages_spec(services).with_packages("idna==2.0", "idna==3.0")
    async with open_session(assembling(live)) as session:
        image = (await session.explain(spec)).image
    assert image.tier == "build"
    (plan,) = image.plans
    assert plan.layers == ()
    assert "idna" in plan.failure
    assert plan.hint


async def test_unreachable_base_is_a_note(live: Settings, services: Services) -> None:
    """Nobody can say what goes on a base that does not answer, and explain says so."""
    spec = packages_spec(services).replace(base="127.0.0.1:1/nobody/home:1")
    plan = await explained(assembling(live), spec)
    assert (plan.layers, plan.failure) == ((), "")
    assert "layers are not known" in plan.note


async def test_layers_can_be_left_out(
    live: Settings, services: Services, access_log: AccessLog
) -> None:
    """Whether an image exists is one question, offline none; neither plans layers."""
    spec = packages_spec(services)
    async with open_session(assembling(live)) as session:
        access_log.mark()
        plan = await session.explain(spec, layers=False)
        assert plan.image.plans == ()
        name = services.base.partition("/")[2].rpartition(":")[0]
        assert not [line for line in access_log.lines() if f"/{name}/" in line]
    offline = dataclasses.replace(assembling(live), offline=True)
    async with open_session(offline) as session:
        assert (await session.explain(spec)).image.plans == ()


async def test_several_platforms_are_explained_one_by_one(
    live: Settings, services: Services
) -> None:
    """A platform that the base lacks does not hide the others."""
    spec = packages_spec(services)
    async with open_session(assembling(live)) as session:
        image = await session.ensure_image(spec)
        (here,) = image.platforms
        other = "linux/riscv64"
        plan = await session.explain(spec, platforms=[str(here), other])
    plans = {str(one.platform): one for one in plan.image.plans}
    assert plans[str(here)].exists
    assert not plans[other].exists
    assert "riscv64" in plans[other].failure


async def test_local_projects_are_known_by_their_wheels(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """A project is built to know what it needs; the wheel is not kept."""
    project = tmp_path / "project"
    (project / "ours").mkdir(parents=True)
    (project / "ours" / "__init__.py").write_text("")
    document = {"name": "ours", "version": "1", "dependencies": ["idna==3.10"]}
    lines = [f"{key} = {json.dumps(value)}" for key, value in document.items()]
    system = '[build-system]\nrequires = ["hatchling"]\n'
    system += 'build-backend = "hatchling.build"\n'
    text = "[project]\n" + "\n".join(lines) + "\n" + system
    (project / "pyproject.toml").write_text(text)
    spec = ImageSpec("explained", base=services.base).with_project(
        str(project), install_project=True
    )
    plan = await explained(assembling(live), spec)
    assert plan.failure == ""
    names = {one.name for row in plan.layers for one in row.packages}
    assert names == {"idna", "ours"}
    assert [row.kind for row in plan.layers if row.kind == "first-party"]
    assert not list(live.cache_dir.rglob("*.whl"))
