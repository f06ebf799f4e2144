"""The public API, called as its users call it: for mypy and pyright, never run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aweigh import (
    AweighError,
    Bundle,
    Image,
    ImageSpec,
    Plan,
    Ready,
    Session,
    Settings,
    deploy,
    ensure_image,
    explain,
    fetch_bundle,
    open_session,
    prepare,
    run,
    serve,
    upload_bundle,
)
from aweigh.errors import BuildError, DeployError, UndecidedError
from aweigh.events import Event, ImageEnsured, Warned
from aweigh.flow.target import LogLine, Mount, Resources, Task
from aweigh.testing import FakeTarget, RecordingListener

if TYPE_CHECKING:
    from collections.abc import Callable

    from aweigh.flow.run import RunResult
    from aweigh.flow.serve import Dev
    from aweigh.flow.target import OnLog, Service, Target
    from aweigh.oci import Digest, Platform, Reference


def specs() -> list[ImageSpec]:
    """Make specs in every way there is."""
    spec: ImageSpec = (
        ImageSpec("train", base="python:3.12-slim", python="3.12")
        .with_apt("git", "git-lfs=3.3.0-1")
        .with_packages("torch", "pandas>=2", extra_index_urls=["https://example.org"])
        .with_packages("light", index_url="https://example.org", find_links=["links"])
        .with_packages("early", pre=True)
        .with_requirements(Path("requirements.txt"))
        .with_lock("pylock.toml")
        .with_project(".", extras=["gpu"], groups=("dev",), install_project=True)
        .with_wheel("dist/*.whl")
        .with_files(Path("config"), "/app/config")
        .with_env(HF_HOME="/cache")
        .with_workdir("/app")
        .with_user("1000")
        .with_run("make data")
        .with_labels({"org.team": "ml"})
        .with_entrypoint("python", "-m", "train")
        .with_platforms("linux/amd64", "linux/arm64")
        .replace(optimize_layers=False)
    )
    platforms: tuple[Platform, ...] = spec.platforms
    name: str = spec.name
    return [
        spec.with_platforms(*map(str, platforms)),
        ImageSpec.from_dockerfile("Dockerfile", name=name, context="."),
        ImageSpec.from_script("train.py", name=name, base=None),
        ImageSpec.from_toml(Path("pyproject.toml")),
    ]


def settings() -> Settings:
    """Make settings, and read them."""
    given = Settings(
        registry="ghcr.io/acme",
        store="s3://bucket/code",
        builder="assemble",
        insecure_registries=("registry.lan:5000",),
        image_fresh_for=60.0,
        on_unknown="build",
        layer_cache="local",
        compression="zstd",
        target="swarm",
    )
    registry: str | None = given.registry
    cache: Path = given.cache_dir
    loaded: Settings = Settings.load(registry=registry, cache_dir=cache)
    return loaded


def hear(event: Event) -> None:
    """Tell two events from the others."""
    match event:
        case ImageEnsured(reference=pinned):
            print(pinned)
        case Warned(message=message, hint=hint):
            print(message, hint)
        case _:
            pass


def read(image: Image, bundle: Bundle, ready: Ready) -> tuple[str, ...]:
    """Use every field of what comes back."""
    digest: Digest = image.digest
    reference: Reference = image.reference
    platforms: frozenset[Platform] = image.platforms
    size: int = bundle.size + bundle.uploaded_bytes + bundle.files
    seconds: float = ready.seconds
    both: tuple[Image, Bundle] = (ready.image, ready.bundle)
    return (
        *(str(image), reference.registry, image.location, image.origin),
        *(str(digest), str(image.verified_at), *map(str, sorted(platforms))),
        *(bundle.uri, str(bundle.digest), bundle.origin, str(size), str(seconds)),
        str(both),
    )


async def in_a_session(spec: ImageSpec) -> None:
    """Call everything that a session has."""
    listener = RecordingListener()
    async with open_session(settings(), listener=listener) as session:
        opened: Session = session
        image: Image = await opened.ensure_image(
            spec, platforms=["linux/arm64"], rebuild=False, upgrade=True
        )
        bundle: Bundle = await opened.upload_bundle(
            "src", include=["*.py"], exclude=("*.csv",), follow=True, form="zip"
        )
        ready: Ready = await opened.prepare(spec, Path("src"))
        fetched: Path = await opened.fetch_bundle(bundle.uri, "there")
        plan: Plan = await opened.explain(spec, fetched, platforms=None, layers=False)
        digest: Digest = await opened.digest(spec)
        await opened.invalidate(image)
        print(read(image, bundle, ready), plan.image.exists, digest)
        await flows(opened, spec)
    warned: list[Warned] = listener.of(Warned)
    print(warned)


async def flows(session: Session, spec: ImageSpec) -> None:
    """Run, deploy and serve with everything they take."""
    lines: list[LogLine] = []
    on_log: OnLog = lines.append
    target: Target = FakeTarget()
    result: RunResult = await session.run(
        spec,
        "src",
        ["python", "main.py"],
        target=target,
        env={"A": "b"},
        secrets={"TOKEN": "t"},
        resources=Resources(cpus=0.5, memory=512 * 2**20, gpus=1),
        mounts=["/data:/data:ro", Mount(source="models", target="/models")],
        timeout=60.0,
        on_log=on_log,
    )
    code: int = result.exit_code
    service: Service = await session.deploy(
        spec,
        "src",
        ("uvicorn", "app:app"),
        name="api",
        replicas=2,
        ports={8080: 8000},
        target="swarm",
        health_path="/health",
    )
    url: str | None = service.url
    async for line in service.logs(follow=True):
        print(code, url, line.text, line.stream, line.at, line.source)
    await service.remove()
    anew: Callable[[], ImageSpec] = lambda: spec  # noqa: E731 - its type is the point
    async with session.serve(anew, "src", ["uvicorn", "app:app"], port=0) as dev:
        serving: Dev = dev
        print(serving.url, serving.version, serving.image)


async def functions(spec: ImageSpec) -> None:
    """Call the functions that share a session."""
    given = settings()
    try:
        image = await ensure_image(spec, settings=given)
        bundle = await upload_bundle("src", form="tar.gz", settings=given)
        path = await fetch_bundle(bundle.uri, "there")
        ready = await prepare(spec, path, settings=given)
        plan = await explain(spec)
        result = await run(spec, "src", ["true"], on_log=print)
        service = await deploy(spec, "src", ["sleep", "9"], name="s", target="docker")
        async with serve(spec, "src", ["uvicorn", "app:app"], also=["lib"]) as dev:
            await dev.wait()
    except UndecidedError as error:
        print(error.hint, error.reasons)
    except BuildError as error:
        print(error.step, error.log)
    except DeployError as error:
        print(error.log)
    except AweighError as error:
        hint: str = error.hint
        print(hint)
    else:
        print(read(image, bundle, ready), plan.bundle, result.seconds, service.name)


class LocalTarget:
    """A target of one's own: the protocol is all there is to it."""

    name = "local"
    pulls = False

    async def run(self, task: Task, on_log: OnLog, /) -> int:
        """Pretend."""
        on_log(LogLine(text=" ".join(task.command), stream="stdout"))
        return 0


def is_a_target() -> Target:
    """Checkers agree that it is one."""
    return LocalTarget()
