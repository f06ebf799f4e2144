"""Which builder builds, and that what each builds runs."""

import dataclasses
import uuid
from typing import Any

import aiodocker
import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.backends.registry import open_registry
from aweigh.errors import EngineUnavailableError, SpecError
from aweigh.events import BlobPushed, BuildStarted, BuildStepFinished, Warned, silent
from aweigh.oci import Index, Manifest, Reference
from aweigh.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from aweigh.settings import BuilderName, LayerCache
from aweigh.testing import RecordingListener
from tests.faults.scene import Nobody
from tests.services import Services

SCRIPT = (
    "import idna, humanize; print(humanize.intcomma(12345), idna.encode('ä').decode())"
)


SAID = "12,345 xn--4ca\n"


def bare_spec(services: Services) -> ImageSpec:
    """Return a spec without packages that equals no other test's."""
    spec = ImageSpec("packages", base=services.base)
    return spec.with_env(NONCE=uuid.uuid4().hex)


def packages_spec(services: Services) -> ImageSpec:
    """Return a spec of Python packages that equals no other test's."""
    return (
        ImageSpec("packages", base=services.base)
        .with_packages("humanize==4.13.0", "idna==3.10")
        .with_env(NONCE=uuid.uuid4().hex)
    )


async def output(services: Services, image: str, *argv: str) -> str:
    """Pull an image by digest, run a command in it and return what it printed."""
    async with aiodocker.Docker(url=services.engine) as docker:
        await docker.images.pull(image)
        container = await docker.containers.create({"Image": image, "Cmd": list(argv)})
        try:
            await container.start()
            await container.wait()
            return "".join(await container.log(stdout=True, stderr=True))
        finally:
            await container.delete(force=True)


async def inspect(services: Services, image: str) -> dict[str, Any]:
    """Return the config of an image that was pulled."""
    async with aiodocker.Docker(url=services.engine) as docker:
        found = await docker.images.inspect(image)
    return dict(found["Config"])


def builders(heard: RecordingListener) -> list[str]:
    """Return who built, in order."""
    return [event.builder for event in heard.of(BuildStarted)]


def without_engine(live: Settings, builder: BuilderName) -> Settings:
    """Return settings with an engine that is not there."""
    nowhere = f"unix://{live.cache_dir}/no.sock"
    return dataclasses.replace(live, builder=builder, engine=nowhere)


@pytest.mark.parametrize("builder", ["assemble", "auto"])
async def test_packages_need_no_engine(
    live: Settings, services: Services, builder: BuilderName
) -> None:
    """Python layers are assembled and pushed; an engine runs the result by digest."""
    heard = RecordingListener()
    settings = without_engine(live, builder)
    spec = packages_spec(services)
    async with open_session(settings, listener=heard) as session:
        image = await session.ensure_image(spec)
        assert (await session.ensure_image(spec)).origin == "recalled"
    assert builders(heard) == ["assemble"]
    said = await output(services, str(image), "python", "-c", SCRIPT)
    assert said == SAID


async def test_adding_a_package_moves_only_its_layers(
    live: Settings, services: Services
) -> None:
    """A second image reuses the layers of the first, also on an empty machine."""
    spec = packages_spec(services)
    async with open_session(without_engine(live, "assemble")) as session:
        await session.ensure_image(spec)
    empty = dataclasses.replace(live, cache_dir=live.data_dir / "other")
    heard = RecordingListener()
    settings = without_engine(empty, "assemble")
    async with open_session(settings, listener=heard) as session:
        await session.ensure_image(spec.with_packages("certifi"))
    layers = {event.step: event.cached for event in heard.of(BuildStepFinished)}
    light = [cached for step, cached in layers.items() if "light-" in step]
    assert sorted(light) == [False, True, True] or sorted(light) == [False, True]
    assert any(event.reused for event in heard.of(BlobPushed))


async def test_auto_takes_the_engine_for_what_executes(
    live: Settings, services: Services
) -> None:
    """A command in the image is the engine's; without one that is an error."""
    spec = packages_spec(services).with_run("true")
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert builders(heard) == ["assemble", "engine"]
    assert await output(services, str(image), "python", "-c", SCRIPT) == SAID
    async with open_session(without_engine(live, "auto")) as session:
        with pytest.raises(EngineUnavailableError):
            await session.ensure_image(spec.with_run("false"))


async def test_packages_on_system_packages_need_no_engine(
    live: Settings, services: Services
) -> None:
    """Once there is an image with the system packages, others add to it without."""
    system = bare_spec(services).with_apt("tini")
    async with open_session(live) as session:
        first = await session.ensure_image(system.with_packages("idna==3.10"))
    heard = RecordingListener()
    more = system.with_packages("idna==3.10", "humanize==4.13.0")
    empty = dataclasses.replace(live, cache_dir=live.data_dir / "another machine")
    async with open_session(without_engine(empty, "auto"), listener=heard) as session:
        image = await session.ensure_image(more)
        assert (await session.ensure_image(more)).origin == "recalled"
    async with open_session(without_engine(live, "assemble")) as session:
        again = await session.ensure_image(more)
        assert (again.origin, again.digest) == ("found", image.digest)
    assert builders(heard) == ["assemble"]
    assert first.reference.tag != image.reference.tag
    assert await output(services, str(image), "python", "-c", SCRIPT) == SAID
    said = await output(services, str(image), "dpkg-query", "-W", "tini")
    assert said.startswith("tini\t")
    moved = [event.reused for event in heard.of(BlobPushed)]
    assert moved.count(True) >= 1


async def test_packages_on_a_command_need_no_engine(
    live: Settings, services: Services
) -> None:
    """A command sees what was installed before it; what comes after lies on top."""
    before = (
        bare_spec(services)
        .with_packages("idna==3.10")
        .with_user("nobody")
        .with_run("python -c 'import idna, os; print(idna, os.getuid() > 0)' > /tmp/it")
        .with_user("root")
    )
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        await session.ensure_image(before)
    assert builders(heard) == ["assemble", "engine", "assemble"]
    spec = before.with_packages("humanize==4.13.0").with_labels({"team": "a"})
    heard = RecordingListener()
    async with open_session(without_engine(live, "auto"), listener=heard) as session:
        image = await session.ensure_image(spec)
        digest = await session.digest(spec)
    assert builders(heard) == ["assemble"]
    assert await output(services, str(image), "python", "-c", SCRIPT) == SAID
    assert "idna" in await output(services, str(image), "cat", "/tmp/it")
    config = await inspect(services, str(image))
    assert config["User"] == "root"
    assert config["Labels"]["team"] == "a"
    assert config["Labels"]["aweigh.spec-digest"] == str(digest)
    assert config["Labels"]["org.opencontainers.image.base.name"] == services.base
    assert "org.opencontainers.image.base.digest" in config["Labels"]
    paths = [one for one in config["Env"] if one.startswith("PATH=")]
    assert "".join(paths).count("/opt/venv/bin") == 1
    steps = [event.step for event in heard.of(BuildStepFinished)]
    assert sum("light-" in step for step in steps) == 1


async def test_what_was_decided_below_is_kept(
    live: Settings, services: Services
) -> None:
    """Versions of the image below bind what comes on top, from the lock in it."""
    before = bare_spec(services).with_packages("idna<3.8").with_run("true")
    async with open_session(live) as session:
        await session.ensure_image(before)
    empty = dataclasses.replace(live, cache_dir=live.data_dir / "another machine")
    heard = RecordingListener()
    async with open_session(without_engine(empty, "auto"), listener=heard) as session:
        image = await session.ensure_image(before.with_packages("idna", "humanize"))
    assert builders(heard) == ["assemble"]
    script = "from importlib.metadata import version as v; print(v('idna'))"
    assert await output(services, str(image), "python", "-c", script) == "3.7\n"
    lock = await output(services, str(image), "cat", "/opt/venv/pylock.toml")
    assert lock.count("[[packages]]") == 2


async def test_auto_turns_to_the_engine(live: Settings, services: Services) -> None:
    """Who wants another version than the image below has needs it removed there."""
    spec = bare_spec(services).with_packages("idna").with_run("true")
    spec = spec.with_packages("idna<3.8", "humanize==4.13.0")
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert builders(heard) == ["assemble", "engine", "assemble", "engine"]
    assert "idna 3.7" in heard.of(Warned)[-1].message
    script = (
        "from importlib.metadata import distributions as d;"
        "print(*sorted(f'{x.name} {x.version}' for x in d(path=['/opt/venv/lib/"
        "python3.11/site-packages'])))"
    )
    said = await output(services, str(image), "python", "-c", script)
    assert said == "humanize 4.13.0 idna 3.7\n"


async def test_a_deleted_prefix_is_built_again(
    live: Settings, services: Services
) -> None:
    """What is remembered of an image below is asked after before it is built on."""
    below = bare_spec(services).with_run("true")
    async with open_session(live) as session:
        image = await session.ensure_image(below)
    async with open_registry(Nobody(), listener=silent) as client:
        await client.delete_manifest(image.reference.with_digest(image.digest))
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        await session.ensure_image(below.with_packages("idna==3.10"))
    assert builders(heard) == ["engine", "assemble"]


async def test_rebuilding_goes_all_the_way_down(
    live: Settings, services: Services
) -> None:
    """An image below is as old as the one on top."""
    spec = (
        bare_spec(services).with_run("date +%s%N > /time").with_packages("idna==3.10")
    )
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        first = await session.ensure_image(spec)
        other = await session.ensure_image(spec.with_packages("humanize==4.13.0"))
        again = await session.ensure_image(spec, upgrade=True)
    assert builders(heard) == ["engine", "assemble", "assemble", "engine", "assemble"]
    times = [
        await output(services, str(image), "cat", "/time")
        for image in (first, other, again)
    ]
    assert times[0] == times[1] != times[2]


async def test_assemble_refuses_what_executes(
    live: Settings, services: Services
) -> None:
    """The error names the step, and nothing was pushed before."""
    spec = packages_spec(services)
    async with open_session(without_engine(live, "assemble")) as session:
        with pytest.raises(SpecError, match=r"with_apt\('git'\)") as caught:
            await session.ensure_image(spec.with_apt("git"))
        with pytest.raises(SpecError, match=r"with_run\('make'\)"):
            await session.ensure_image(spec.with_run("make"))
        with pytest.raises(SpecError, match=r"with_run\('make'\)"):
            await session.ensure_image(spec.with_run("make").with_env(A="1"))
    assert "builder" in caught.value.hint
    async with open_registry(Nobody(), listener=silent) as client:
        tag = Reference.parse(f"{live.registry}/packages:aw-cache-3.11-linux-amd64")
        assert await client.head_manifest(tag) is None


async def test_engine_builds_are_pinned(live: Settings, services: Services) -> None:
    """The engine installs exactly what was resolved, and the image holds the lock."""
    heard = RecordingListener()
    engine = dataclasses.replace(live, builder="engine")
    async with open_session(engine, listener=heard) as session:
        image = await session.ensure_image(packages_spec(services))
    assert heard.of(Warned) == []
    lock = await output(services, str(image), "cat", "/opt/venv/pylock.toml")
    assert 'name = "humanize"' in lock
    said = await output(services, str(image), "python", "-c", SCRIPT)
    assert said == SAID


async def test_base_that_only_the_engine_has(
    live: Settings, services: Services
) -> None:
    """What cannot be pinned is built all the same, with warnings that say why."""
    local = f"127.0.0.1:1/local/base-{uuid.uuid4().hex}"
    async with aiodocker.Docker(url=services.engine) as docker:
        await docker.images.pull(services.base)
        await docker.images.tag(services.base, repo=local, tag="1")
    heard = RecordingListener()
    spec = packages_spec(services).replace(base=f"{local}:1")
    async with open_session(live, listener=heard) as session:
        image = await session.ensure_image(spec)
    said = await output(services, str(image), "python", "-c", SCRIPT)
    assert said == SAID
    assert "not pinned" in heard.of(Warned)[-1].message


async def assembled_with(
    settings: Settings, spec: ImageSpec
) -> tuple[set[str], set[bool]]:
    """Ensure an image; return its layers' media types, and which steps were reused."""
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        image = await session.ensure_image(spec)
    async with open_registry(Nobody(), listener=silent) as registry:
        pinned = image.reference.with_digest(image.digest)
        index = await registry.get_manifest(pinned)
        assert index is not None
        assert isinstance(index[0], Index)
        (entry,) = index[0].manifests
        found = await registry.get_manifest(pinned.with_digest(entry.digest))
        cache = await registry.head_manifest(
            pinned.with_tag("aw-cache-3.11-linux-amd64")
        )
    assert found is not None
    assert isinstance(found[0], Manifest)
    assert (cache is not None) is (settings.layer_cache == "registry")
    ours = {one.media_type for one in found[0].layers if one.annotations}
    steps = heard.of(BuildStepFinished)
    return ours, {one.cached for one in steps if "light-" in one.step}


@pytest.mark.parametrize(
    ("layer_cache", "reused"), [("registry", True), ("local", True), ("off", False)]
)
async def test_where_layers_are_looked_for(
    live: Settings, services: Services, layer_cache: LayerCache, *, reused: bool
) -> None:
    """The setting decides whether memory and the destination's cache tag count."""
    settings = dataclasses.replace(
        without_engine(live, "assemble"), layer_cache=layer_cache
    )
    first = await assembled_with(settings, packages_spec(services))
    again = await assembled_with(settings, packages_spec(services))
    assert first == ({OCI_LAYER_GZIP}, {False})
    assert again == ({OCI_LAYER_GZIP}, {reused})


async def test_layers_may_be_zstd(live: Settings, services: Services) -> None:
    """Who runs newer engines can have smaller layers."""
    settings = dataclasses.replace(without_engine(live, "assemble"), compression="zstd")
    kinds, _ = await assembled_with(settings, packages_spec(services))
    assert kinds == {OCI_LAYER_ZSTD}
