"""The calls people make, against a real engine, registry and store."""

import asyncio
import dataclasses
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import aiodocker
import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.errors import (
    AuthenticationError,
    AweighError,
    BuildError,
    EngineUnavailableError,
    ResolveError,
    SpecError,
    UndecidedError,
)
from aweigh.events import BuildStepStarted, ImageEnsured
from aweigh.oci import Reference
from aweigh.testing.doubles import RecordingListener
from tests.conftest import AccessLog
from tests.faults.support import running_commands
from tests.services import Services


def light_spec(services: Services, **env: str) -> ImageSpec:
    """Return a spec that builds in a moment and equals no other test's."""
    return ImageSpec("light", base=services.base).with_env(
        NONCE=uuid.uuid4().hex, **env
    )


async def test_image_with_packages_runs_by_digest(
    live: Settings, services: Services
) -> None:
    """A spec becomes an image that the engine pulls by digest and runs."""
    spec = (
        ImageSpec("real", base=services.base)
        .with_packages("humanize==4.13.0")
        .with_env(NONCE=uuid.uuid4().hex)
    )
    async with (
        open_session(live) as session,
        aiodocker.Docker(url=services.engine) as docker,
    ):
        image = await session.ensure_image(spec)
        assert image.origin == "built"
        await docker.images.pull(str(image))
        script = "import humanize; print(humanize.intcomma(12345))"
        container = await docker.containers.create(
            {"Image": str(image), "Cmd": ["python", "-c", script]}
        )
        try:
            await container.start()
            await container.wait()
            assert await container.log(stdout=True) == ["12,345\n"]
        finally:
            await container.delete(force=True)


async def test_second_session_asks_nobody(
    live: Settings, services: Services, access_log: AccessLog
) -> None:
    """What one session built, another recalls without a request."""
    spec = light_spec(services)
    async with open_session(live) as session:
        built = await session.ensure_image(spec)
    access_log.mark()
    async with open_session(live) as session:
        recalled = await session.ensure_image(spec)
    assert access_log.lines() == []
    assert (recalled.origin, str(recalled)) == ("recalled", str(built))


async def test_empty_cache_finds_it_in_the_registry(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """A fresh machine asks the registry once and builds nothing."""
    spec = light_spec(services)
    async with open_session(live) as session:
        built = await session.ensure_image(spec)
    fresh = dataclasses.replace(live, cache_dir=tmp_path / "other")
    async with open_session(fresh) as session:
        found = await session.ensure_image(spec)
    assert (found.origin, found.digest) == ("found", built.digest)


async def test_deleted_image_is_rebuilt_after_invalidate(
    live: Settings, services: Services
) -> None:
    """An image deleted behind the cache comes back once somebody says so."""
    spec = light_spec(services)
    async with open_session(live) as session:
        image = await session.ensure_image(spec)
        registry = await session.backends.registry()  # type: ignore[attr-defined]
        await registry.delete_manifest(Reference.parse(str(image)))
        assert (await session.ensure_image(spec)).origin == "recalled"
        await session.invalidate(image)
        assert (await session.ensure_image(spec)).origin == "built"


async def test_stale_row_of_a_deleted_image_is_rebuilt(
    live: Settings, services: Services
) -> None:
    """With nothing fresh, a deletion is noticed without anybody's help."""
    spec = light_spec(services)
    live = dataclasses.replace(live, image_fresh_for=0.0)
    async with open_session(live) as session:
        image = await session.ensure_image(spec)
        await asyncio.sleep(0.01)
        assert (await session.ensure_image(spec)).origin == "recalled"
        registry = await session.backends.registry()  # type: ignore[attr-defined]
        await registry.delete_manifest(Reference.parse(str(image)))
        assert (await session.ensure_image(spec)).origin == "built"


async def test_stale_row_costs_one_head(
    live: Settings, services: Services, access_log: AccessLog
) -> None:
    """Revalidating asks for exactly the digest, with one HEAD."""
    spec = light_spec(services)
    live = dataclasses.replace(live, image_fresh_for=0.0)
    async with open_session(live) as session:
        image = await session.ensure_image(spec)
        access_log.mark()
        assert (await session.ensure_image(spec)).origin == "recalled"
    repository = image.reference.repository
    assert access_log.lines() == [
        f"HEAD /v2/{repository}/manifests/{image.digest} HTTP/1.1"
    ]


async def test_five_calls_make_one_build(live: Settings, services: Services) -> None:
    """Concurrent callers share the build."""
    heard = RecordingListener()
    spec = light_spec(services)
    async with open_session(live, listener=heard) as session:
        images = await asyncio.gather(*(session.ensure_image(spec) for _ in range(5)))
    assert len({image.digest for image in images}) == 1
    steps = [event.step for event in heard.of(BuildStepStarted)]
    assert len(steps) == len(set(steps))
    assert len(heard.of(ImageEnsured)) == 5


async def test_without_registry_the_image_stays_in_the_engine(
    live: Settings, services: Services
) -> None:
    """Local images are runnable by id and recalled like others."""
    spec = light_spec(services)
    local = dataclasses.replace(live, registry=None)
    async with (
        open_session(local) as session,
        aiodocker.Docker(url=services.engine) as docker,
    ):
        image = await session.ensure_image(spec)
        assert image.location == "engine"
        assert (await docker.images.inspect(str(image)))["Id"] == str(image)
        assert (await session.ensure_image(spec)).origin == "recalled"
        await docker.images.delete(str(image), force=True)
        await session.invalidate(image)
        assert (await session.ensure_image(spec)).origin == "built"
        await docker.images.delete(str(image), force=True)


async def test_two_platforms_without_emulation(live: Settings) -> None:
    """A spec with nothing to run is built for a foreign platform too."""
    context = live.data_dir
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    spec = ImageSpec.from_dockerfile(
        context / "Dockerfile", name="both", context=context
    )
    async with open_session(live) as session:
        one = await session.ensure_image(spec, platforms=["linux/amd64"])
        both = await session.ensure_image(
            spec, platforms=["linux/amd64", "linux/arm64"]
        )
        again = await session.ensure_image(spec, platforms=["linux/arm64"])
    assert sorted(map(str, one.platforms)) == ["linux/amd64"]
    assert sorted(map(str, both.platforms)) == ["linux/amd64", "linux/arm64"]
    assert (again.origin, again.digest) == ("recalled", both.digest)


async def test_cancelled_build_leaves_nothing_running(
    live: Settings, services: Services
) -> None:
    """Cancelling stops the step in the engine, and nothing is remembered."""
    heard = RecordingListener()
    naps = 1000 + uuid.uuid4().int % 8000
    spec = light_spec(services).with_run(f"sleep {naps}")
    async with open_session(live, listener=heard) as session:
        task = asyncio.create_task(session.ensure_image(spec))
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(running_commands, f"sleep {naps}"):
                await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            while await asyncio.to_thread(running_commands, f"sleep {naps}"):
                await asyncio.sleep(0.05)
        assert not (await session.explain(spec)).image.exists


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda s: s.with_run("echo canary; exit 3"), BuildError, "canary"),
        (lambda s: s.with_packages("no-such-package-aweigh"), ResolveError, "no-such"),
        (lambda s: s.with_apt("no-such-package-aweigh"), BuildError, "no-such"),
        (lambda s: s.replace(base="127.0.0.1:1/nobody/home:1"), BuildError, "nobody"),
        (lambda s: s.with_requirements("missing.txt"), SpecError, "missing.txt"),
    ],
)
async def test_what_can_go_wrong_says_what_to_do(
    live: Settings,
    services: Services,
    change: Callable[[ImageSpec], ImageSpec],
    error: type[AweighError],
    says: str,
) -> None:
    """Each failure names its cause and has a hint."""
    spec = change(light_spec(services))
    async with open_session(live) as session:
        with pytest.raises(error, match=says) as caught:
            await session.ensure_image(spec)
    assert len(caught.value.hint) > 10
    assert any("hint: " in note for note in caught.value.__notes__)


async def test_missing_engine_says_what_to_do(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """An engine that is not there is an error with a hint, and only when needed."""
    spec = light_spec(services).with_run("true")
    gone = dataclasses.replace(live, engine=f"unix://{tmp_path}/no.sock")
    async with open_session(gone) as session:
        with pytest.raises(EngineUnavailableError) as caught:
            await session.ensure_image(spec)
    assert caught.value.hint


async def test_refusing_registry_is_undecided_not_absent(
    live: Settings, services: Services
) -> None:
    """Without credentials nobody can say whether the image exists."""
    secure = dataclasses.replace(
        live,
        registry=f"{services.secure_registry}/t/{uuid.uuid4().hex}",
        insecure_registries=(services.secure_registry,),
    )
    async with open_session(secure) as session:
        with pytest.raises((UndecidedError, AuthenticationError)) as caught:
            await session.ensure_image(light_spec(services))
    assert "docker login" in caught.value.hint


async def test_unwritable_cache_directory_only_costs_time(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """Where nothing can be remembered, the image is found again each time."""
    (tmp_path / "file").write_text("in the way")
    spec = light_spec(services)
    blocked = dataclasses.replace(live, cache_dir=tmp_path / "file" / "cache")
    for origin in ("built", "found"):
        async with open_session(blocked) as session:
            assert (await session.ensure_image(spec)).origin == origin


async def test_prepare_and_fetch(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """Image and bundle exist; the bundle's files come back as they were."""
    source = tmp_path / "src"
    (source / "pkg").mkdir(parents=True)
    (source / "pkg" / "main.py").write_text("print('hi')\n")
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    spec = light_spec(services)
    async with open_session(live) as session:
        ready = await session.prepare(spec, source)
        assert (ready.image.origin, ready.bundle.origin) == ("built", "uploaded")
        path = await session.fetch_bundle(ready.bundle.uri, tmp_path / "dest")
        again = await session.prepare(spec, source)
    assert (again.image.origin, again.bundle.origin) == ("recalled", "recalled")
    assert (path / "pkg" / "main.py").read_text() == "print('hi')\n"
    assert (path / "run.sh").stat().st_mode & 0o111
    assert not (path / "pkg" / "main.py").stat().st_mode & 0o111


async def test_explain_changes_nothing(
    live: Settings, services: Services, tmp_path: Path, access_log: AccessLog
) -> None:
    """Explaining builds, pushes, uploads and remembers nothing."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    spec = light_spec(services).with_apt("git")
    async with open_session(live) as session:
        access_log.mark()
        plan = await session.explain(spec, source)
        assert plan.image.tier == "build"
        assert plan.image.steps[-1] == "apt git"
        assert plan.bundle is not None
        assert plan.bundle.tier == "upload"
        methods = {line.split()[0] for line in access_log.lines()}
        assert methods <= {"HEAD", "GET"}
    assert not (live.data_dir / "store").exists()


async def test_explain_names_the_tier_that_answers(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """Remembered, then only in the registry and the store, then unreachable."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    spec = light_spec(services)
    async with open_session(live) as session:
        await session.prepare(spec, source)
        plan = await session.explain(spec, source)
        assert plan.bundle is not None
        assert (plan.image.tier, plan.bundle.tier) == ("cache", "cache")
    fresh = dataclasses.replace(live, cache_dir=tmp_path / "other")
    async with open_session(fresh) as session:
        plan = await session.explain(spec, source)
        assert plan.bundle is not None
        assert (plan.image.tier, plan.bundle.tier) == ("registry", "store")
    lost = dataclasses.replace(fresh, registry="127.0.0.1:1/nobody")
    async with open_session(lost) as session:
        assert (await session.explain(spec)).image.tier == "undecided"
    nowhere = f"unix://{tmp_path}/no.sock"
    bare = dataclasses.replace(fresh, registry=None, engine=nowhere)
    async with open_session(bare) as session:
        plan = await session.explain(spec)
    assert plan.image.tier == "undecided"
    assert "no.sock" in plan.image.reason


async def test_digest_is_what_the_tag_begins_with(
    live: Settings, services: Services
) -> None:
    """The digest of a spec names its image."""
    spec = light_spec(services)
    async with open_session(live) as session:
        digest = await session.digest(spec)
        plan = await session.explain(spec)
    assert plan.image.reference.tag == f"aw-{digest.hex[:20]}"


async def test_warm_calls_use_few_threads(live: Settings, services: Services) -> None:
    """A thousand concurrent warm calls have at most four threads of the database."""
    spec = light_spec(services)
    async with open_session(live) as session:
        await session.ensure_image(spec)
        before = threading.active_count()
        images = await asyncio.gather(
            *(session.ensure_image(spec) for _ in range(1000))
        )
        asyncio_workers = sum(
            thread.name.startswith("asyncio_") for thread in threading.enumerate()
        )
        assert {image.origin for image in images} == {"recalled"}
        assert threading.active_count() - asyncio_workers <= max(before, 5)


async def test_our_own_cache_is_no_part_of_an_image(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """A cache directory inside the copied directory must not change the digest."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    inside = dataclasses.replace(live, cache_dir=source / "state")
    spec = light_spec(services).with_files(str(source), "/app")
    async with open_session(inside) as session:
        before = await session.digest(spec)
        await session.ensure_image(light_spec(services))
        assert await session.digest(spec) == before
