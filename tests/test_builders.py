"""Which builder builds, and that what each builds runs."""

import dataclasses
import uuid

import aiodocker
import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.errors import EngineUnavailableError, SpecError
from aweigh.events import BlobPushed, BuildStarted, BuildStepFinished, Warned
from aweigh.settings import BuilderName
from aweigh.testing import RecordingListener
from tests.services import Services

SCRIPT = (
    "import idna, humanize; print(humanize.intcomma(12345), idna.encode('ä').decode())"
)


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
    assert [event.builder for event in heard.of(BuildStarted)] == ["assemble"]
    said = await output(services, str(image), "python", "-c", SCRIPT)
    assert said == "12,345 xn--4ca\n"


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
    auto = dataclasses.replace(live, builder="auto")
    async with open_session(auto, listener=heard) as session:
        await session.ensure_image(spec)
    assert [event.builder for event in heard.of(BuildStarted)] == ["engine"]
    async with open_session(without_engine(live, "auto")) as session:
        with pytest.raises(EngineUnavailableError):
            await session.ensure_image(spec.with_run("false"))


async def test_assemble_refuses_what_executes(
    live: Settings, services: Services
) -> None:
    """The error names the step."""
    spec = packages_spec(services).with_apt("git")
    async with open_session(without_engine(live, "assemble")) as session:
        with pytest.raises(SpecError, match=r"with_apt\('git'\)") as caught:
            await session.ensure_image(spec)
    assert "builder" in caught.value.hint


async def test_engine_builds_are_pinned(live: Settings, services: Services) -> None:
    """The engine installs exactly what was resolved, and the image holds the lock."""
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        image = await session.ensure_image(packages_spec(services))
    assert heard.of(Warned) == []
    lock = await output(services, str(image), "cat", "/opt/venv/pylock.toml")
    assert 'name = "humanize"' in lock
    said = await output(services, str(image), "python", "-c", SCRIPT)
    assert said == "12,345 xn--4ca\n"


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
    assert said == "12,345 xn--4ca\n"
    assert "not pinned" in heard.of(Warned)[-1].message
