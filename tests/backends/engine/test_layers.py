"""Planned layers, built by the real engine: pinned, checked and kept apart."""

import asyncio
import tomllib
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from aweigh.backends.engine import Engine, EngineBuilder, run_container
from aweigh.errors import BuildError
from aweigh.events import BuildStepFinished
from aweigh.image.build import BuildRequest
from aweigh.image.files import take_snapshot
from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.plan import plan_layers
from aweigh.image.schedule import plan_build
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest, Platform
from tests.backends.engine.doubles import Credentials, Heads, Heard
from tests.image.trees import make_wheel
from tests.services import Services

# In this order: humanize is told to be heavy, the others are in buckets 1 and 4.
NAMES = ("humanize", "idna", "pip")
CHECK = """
import importlib.metadata as m, pathlib, subprocess, sys
names = sys.argv[1:]
for name in names: __import__(name)
print(*(f"{name}=={m.version(name)}" for name in names))
print(subprocess.run([sys.executable, "-m", "pip", "check"],
                     capture_output=True, text=True).stdout.strip())
print(pathlib.Path("/opt/venv/pylock.toml").read_text().strip())
print(*(f"left: {path}" for path in pathlib.Path("/mnt").iterdir()), end="")
"""


@pytest.fixture
def builder(engine: Engine, heard: Heard) -> EngineBuilder:
    """Return a builder as the session makes it."""
    return EngineBuilder(
        engine, credentials=Credentials(), registry=Heads(), listener=heard
    )


@pytest.fixture
async def pinned() -> dict[str, LockedWheel]:
    """Return real wheels from the index, as a resolver would pin them."""
    process = await asyncio.create_subprocess_exec(
        find_uv_bin(),
        *("pip", "compile", "--quiet", "--format", "pylock.toml", "--no-deps", "-"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    text, _ = await process.communicate("\n".join(NAMES).encode())
    found = {}
    for package in tomllib.loads(text.decode())["packages"]:
        (wheel,) = package["wheels"]
        found[package["name"]] = locked(package, wheel)
        found[f"{package['name']} source"] = locked(package, package["sdist"])
    return found


def locked(package: dict[str, Any], file: dict[str, Any]) -> LockedWheel:
    """Pin one file of one package of a lock."""
    return LockedWheel(
        name=package["name"],
        version=package["version"],
        filename=file["url"].rpartition("/")[2],
        url=file["url"],
        digest=Digest(file["hashes"]["sha256"]),
        size=25_000_000 if package["name"] == NAMES[0] else file["size"],
        step=0,
    )


@pytest.fixture
def request_of(
    make_request: Callable[..., BuildRequest], tmp_path: Path
) -> Callable[[ImageSpec, list[LockedWheel]], BuildRequest]:
    """Return a function that makes the request for a spec and its lock."""

    def make(spec: ImageSpec, wheels: list[LockedWheel]) -> BuildRequest:
        snapshot = take_snapshot(spec, tmp_path)
        lock = Lock(
            python="",
            platform=Platform.host(),
            wheels=tuple(wheels),
            text="\n".join(f"# {wheel.filename}" for wheel in wheels),
        )
        return make_request(
            spec=spec,
            snapshot=snapshot,
            base=snapshot.base,
            lock=lock,
            layers=plan_build(spec, lock, base_layers=5),
        )

    return make


async def test_a_package_more_leaves_the_layers_before_it(
    *,
    engine: Engine,
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec, list[LockedWheel]], BuildRequest],
    pinned: dict[str, LockedWheel],
    services: Services,
    tmp_path: Path,
    heard: Heard,
) -> None:
    """Adding a package runs one step; what it says is in the image is, and fits."""
    added = make_light(tmp_path)
    spec = ImageSpec("t", base=services.base)
    wheels = [pinned[name] for name in NAMES]
    request = request_of(spec.with_packages(*NAMES, find_links=["."]), wheels)
    await builder.build(request)
    assert len(installs(heard)) == len(NAMES)
    heard.events.clear()

    wheels.append(added)
    names = (*NAMES, added.name)
    more = spec.with_packages(*names, find_links=["."])
    built = await builder.build(request_of(more, wheels))
    assert [event.cached for event in installs(heard)] == [True, True, True, False]

    lines: list[str] = []
    code = await run_container(
        engine,
        str(built.digest),
        ["python", "-c", CHECK, *names],
        on_log=lines.append,
    )
    assert code == 0, lines
    versions, check, *text = lines
    assert versions == " ".join(f"{one.name}=={one.version}" for one in wheels)
    assert check == "No broken requirements found."
    assert text == [f"# {wheel.filename}" for wheel in wheels]


async def test_other_content_is_refused(
    *,
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec, list[LockedWheel]], BuildRequest],
    pinned: dict[str, LockedWheel],
    services: Services,
) -> None:
    """A file that is not what was locked does not get into an image."""
    spec = ImageSpec("t", base=services.base).with_packages("idna")
    other = replace(pinned["idna"], digest=Digest.of(b"something else"))
    with pytest.raises(BuildError, match=r"(?i)hash"):
        await builder.build(request_of(spec, [other]))


async def test_what_has_no_wheel_is_built(
    *,
    engine: Engine,
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec, list[LockedWheel]], BuildRequest],
    pinned: dict[str, LockedWheel],
    services: Services,
    tmp_path: Path,
) -> None:
    """A source distribution is built in the engine, with the options of its step."""
    make_wheel(tmp_path, "unused")
    spec = ImageSpec("t", base=services.base).with_packages("idna", find_links=["."])
    built = await builder.build(request_of(spec, [pinned["idna source"]]))
    lines: list[str] = []
    script = "import importlib.metadata as m; print(m.version('idna'))"
    await run_container(
        engine, str(built.digest), ["python", "-c", script], on_log=lines.append
    )
    assert lines == [pinned["idna"].version]


async def test_local_wheels_come_from_the_context_and_last(
    *,
    engine: Engine,
    builder: EngineBuilder,
    request_of: Callable[[ImageSpec, list[LockedWheel]], BuildRequest],
    pinned: dict[str, LockedWheel],
    services: Services,
    tmp_path: Path,
    heard: Heard,
) -> None:
    """A first-party wheel is one step; another content of it is that step again."""
    spec = ImageSpec("t", base=services.base).with_wheel("*.whl").with_packages("idna")
    # The engine's cache outlives a run, and equal wheels are equal steps.
    ours = uuid.uuid4().int % 10**9
    for value in (ours, ours + 1):
        path = make_wheel(tmp_path, "acme", value=value)
        own = LockedWheel(
            name="acme",
            version="1.0",
            filename=path.name,
            url=f"steps/0/wheels/{path.name}",
            digest=Digest.of(path.read_bytes()),
            size=path.stat().st_size,
            step=0,
            first_party=True,
        )
        heard.events.clear()
        built = await builder.build(
            request_of(spec, [own, replace(pinned["idna"], step=1)])
        )
        lines: list[str] = []
        script = "import acme, idna; print(acme.VALUE)"
        await run_container(
            engine, str(built.digest), ["python", "-c", script], on_log=lines.append
        )
        assert lines == [str(value)]
    assert [event.cached for event in installs(heard)] == [True, False]


def make_light(directory: Path) -> LockedWheel:
    """Make a package that nobody saw before, for a bucket behind the others."""
    while True:
        name = f"w{uuid.uuid4().hex}"
        path = directory / f"{name}-1.0-py3-none-any.whl"
        wheel = LockedWheel(
            name=name,
            version="1.0",
            filename=path.name,
            url=f"steps/0/links/0/{path.name}",
            digest=Digest.of(b""),
            size=1,
            step=0,
        )
        lock = Lock(python="", platform=Platform.host(), wheels=(wheel,), text="")
        (layer,) = plan_layers(lock, base_layers=5)
        if layer.name > "light-4":
            make_wheel(directory, name)
            return replace(wheel, digest=Digest.of(path.read_bytes()))


def installs(heard: Heard) -> list[BuildStepFinished]:
    """Return the steps that installed packages, in order."""
    steps = heard.of(BuildStepFinished)
    found = [
        step for step in steps if "pylock.toml" in step.step and "RUN" in step.step
    ]
    return sorted(found, key=lambda step: step.step)
