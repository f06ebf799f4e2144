"""Sessions and releases: what is asked again, and what moves when one appears."""

import asyncio
import dataclasses
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.backends.resolver import Uv
from aweigh.backends.resolver.uv import Finished
from aweigh.events import BuildStepFinished
from aweigh.testing import RecordingListener
from tests.backends.assembler.support import write_wheel
from tests.backends.resolver.place import Index
from tests.image.trees import make_tree
from tests.services import Services
from tests.test_builders import without_engine


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Return a local index with one heavy project; uv's cache is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Index(tmp_path / "dist")
    release(tmp_path, "torch", "1.0")
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def resolutions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with every start of uv that pins packages."""
    started: list[str] = []
    run = Uv.run

    async def counted(self: Uv, arguments: Sequence[str], directory: Path) -> Finished:
        started.append(" ".join(arguments[:2]))
        return await run(self, arguments, directory)

    monkeypatch.setattr(Uv, "run", counted)
    return started


def release(root: Path, name: str, version: str) -> None:
    """Put a release into the index."""
    files = {f"{name}.py": f"v = '{version}'\n"}
    write_wheel(root / "dist", name, files, version=version)


def spec_of(services: Services, index: Index, *packages: str) -> ImageSpec:
    """Return a spec that takes everything from the index."""
    spec = ImageSpec("releases", base=services.base)
    return spec.with_packages(*packages, index_url=index.url)


async def built(
    settings: Settings, spec: ImageSpec, *, upgrade: bool = False
) -> dict[str, bool]:
    """Ensure an image; return for each layer whether it was there already."""
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        await session.ensure_image(spec, upgrade=upgrade)
    return {
        event.step.removeprefix("layer "): event.cached
        for event in heard.of(BuildStepFinished)
    }


async def test_a_light_package_moves_no_heavy_layer(
    live: Settings, services: Services, index: Index, tmp_path: Path
) -> None:
    """Not on an empty machine either, though there is a newer release by now."""
    settings = without_engine(live, "assemble")
    first = await built(settings, spec_of(services, index, "torch"))
    assert [cached for step, cached in first.items() if "torch" in step] == [False]
    release(tmp_path, "torch", "2.0")
    release(tmp_path, "small", "1.0")
    more = spec_of(services, index, "torch", "small")

    same = await built(settings, more)
    empty = dataclasses.replace(settings, cache_dir=tmp_path / "other")
    other = await built(empty, more.with_env(NONCE="1"))
    newest = await built(empty, more.with_env(NONCE="2"), upgrade=True)

    for found in (same, other):
        assert [cached for step, cached in found.items() if "torch" in step] == [True]
    assert [cached for step, cached in newest.items() if "torch" in step] == [False]


async def test_an_unchanged_spec_is_not_resolved_again(
    live: Settings, services: Services, index: Index, resolutions: list[str]
) -> None:
    """Whatever else changes in it; another package is another question."""
    settings = without_engine(live, "assemble")
    spec = spec_of(services, index, "torch")
    await built(settings, spec)
    assert len(resolutions) == 1
    await built(settings, spec)
    await built(settings, spec.with_env(NONCE=uuid.uuid4().hex))
    await built(settings, spec.with_env(NONCE=uuid.uuid4().hex))
    assert len(resolutions) == 1
    await built(settings, spec_of(services, index, "torch<3"))
    assert len(resolutions) > 1


async def test_other_code_is_not_resolved_again(
    live: Settings,
    services: Services,
    index: Index,
    resolutions: list[str],
    tmp_path: Path,
) -> None:
    """A project whose requirements are the same needs what it needed."""
    text = (
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.11"\n'
        '[build-system]\nrequires = ["uv_build>=0.13,<0.14"]\n'
        'build-backend = "uv_build"\n'
    )
    code = "mine/src/mine/__init__.py"
    make_tree(tmp_path, {"mine/pyproject.toml": text, code: "v = 1\n"})
    settings = without_engine(live, "assemble")
    spec = spec_of(services, index, "torch").with_project("mine", install_project=True)
    await built(settings, spec)
    asked = len(resolutions)
    await asyncio.to_thread(make_tree, tmp_path, {code: "v = 2\n"})
    layers = await built(settings, spec)
    assert len(resolutions) == asked
    assert [
        step for step, cached in layers.items() if "first-party" in step and cached
    ] == []
    needs = text.replace("requires-python", 'dependencies = ["torch"]\nrequires-python')
    await asyncio.to_thread(make_tree, tmp_path, {"mine/pyproject.toml": needs})
    await built(settings, spec)
    assert len(resolutions) > asked
