"""Code on an image of the engine's own store: loaded or built, and then run."""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.archive.member import Member
from aweigh.backends.engine import Engine, EngineCoder, run_container
from aweigh.backends.engine.local import inspect_image, tag_image
from aweigh.errors import ChangedError, EngineError, ImageGoneError
from aweigh.image.code import CodeLayer, code_reference
from aweigh.image.image import Image
from aweigh.oci import Digest, Reference
from tests.backends.engine.conftest import LABEL
from tests.services import Services

PROGRAM = """import os, sys
print(os.getcwd(), sys.path[1], os.environ["PATH"], sep="|")
"""
BOTH_STORES = pytest.mark.parametrize("containerd", [False, True])


@pytest.fixture
async def image(live: Settings, services: Services, mark: str) -> Image:
    """Return an image that only the engine has."""
    local = dataclasses.replace(live, registry=None)
    spec = ImageSpec(f"code-{mark}", base=services.base).with_labels({LABEL: mark})
    async with open_session(local) as session:
        return await session.ensure_image(spec.with_env(PYTHONPATH="/else/where"))


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a program."""
    path = tmp_path / "main.py"
    path.write_text(PROGRAM)
    return path


def members(path: Path, digest: Digest, directory: str) -> Iterator[Member]:
    """List the program and a symlink to it."""
    below = directory.strip("/")
    yield Member(
        path=f"{below}/main.py",
        kind="file",
        size=len(PROGRAM),
        source=path,
        digest=digest,
    )
    yield Member(path=f"{below}/same.py", kind="symlink", target="main.py")


def layer_of(path: Path, directory: str = "/app") -> CodeLayer:
    """Return the layer that has the program as it is now."""
    digest = Digest.of(path.read_bytes())
    return CodeLayer(
        bundle=digest,
        directory=directory,
        compression="auto",
        members=partial(members, path, digest, directory),
    )


def coder_of(
    engine: Engine, tmp_path: Path, *, containerd: bool | None = None
) -> EngineCoder:
    """Return what adds code, as for this kind of store."""
    return EngineCoder(
        engine, directory=tmp_path / "scratch", has_containerd_store=containerd
    )


def name_of(image: Image, layer: CodeLayer) -> Reference:
    """Name the image with the code."""
    return code_reference(image, layer.digest(image))


@BOTH_STORES
@pytest.mark.parametrize("directory", ["/app", "/srv/my $code"])
async def test_the_code_runs_where_it_lies(
    engine: Engine,
    image: Image,
    code: Path,
    tmp_path: Path,
    directory: str,
    *,
    containerd: bool,
) -> None:
    """Either way the program starts beside itself, with our places first."""
    layer = layer_of(code, directory)
    coder = coder_of(engine, tmp_path, containerd=containerd)
    reference = name_of(image, layer)
    made = await coder.make(image, reference, layer)
    assert made.origin == "built"
    lines: list[str] = []
    command = ["python3", "same.py"]
    assert (
        await run_container(engine, str(made.digest), command, on_log=lines.append) == 0
    )
    where, path, programs = lines[0].split("|")
    assert (where, path) == (directory, directory)
    assert programs.startswith("/opt/venv/bin:")
    found = await engine.fetch(f"images/{made.digest}/json")
    assert found is not None
    assert f"PYTHONPATH={directory}:/else/where" in found["Config"]["Env"]
    assert await coder.make(image, reference, layer) == dataclasses.replace(
        made, origin="found"
    )
    assert list((tmp_path / "scratch").glob("*")) == []


async def test_an_engine_is_asked_how_it_keeps_images(
    engine: Engine, image: Image, code: Path, tmp_path: Path
) -> None:
    """Nobody has to know it; below the code nothing is copied."""
    layer = layer_of(code)
    made = await coder_of(engine, tmp_path).make(image, name_of(image, layer), layer)
    above = await engine.fetch(f"images/{made.digest}/json")
    below = await engine.fetch(f"images/{image.digest}/json")
    assert above is not None
    assert below is not None
    count = len(below["RootFS"]["Layers"])
    assert above["RootFS"]["Layers"][:count] == below["RootFS"]["Layers"]
    assert len(above["RootFS"]["Layers"]) == count + 1
    assert above["Config"]["Labels"] == below["Config"]["Labels"]


@BOTH_STORES
async def test_an_image_that_is_gone_is_said_to_be_gone(
    engine: Engine, image: Image, code: Path, tmp_path: Path, *, containerd: bool
) -> None:
    """Whoever remembers the image learns that the engine has it no more."""
    await engine.send("DELETE", f"images/{image.digest}", params={"force": "1"})
    layer = layer_of(code)
    coder = coder_of(engine, tmp_path, containerd=containerd)
    with pytest.raises(ImageGoneError, match="has no"):
        await coder.make(image, name_of(image, layer), layer)


async def test_a_name_that_moved_is_an_image_that_is_gone(
    engine: Engine, image: Image, services: Services, code: Path, tmp_path: Path
) -> None:
    """BuildKit would build on whatever has the name now."""
    base = await inspect_image(engine, services.base)
    assert base is not None
    keep = image.reference.with_tag("kept")
    await tag_image(engine, image.digest, keep.name, keep.tag)
    await tag_image(engine, base.id, image.reference.name, image.reference.tag)
    layer = layer_of(code)
    coder = coder_of(engine, tmp_path, containerd=True)
    try:
        with pytest.raises(ImageGoneError):
            await coder.make(image, name_of(image, layer), layer)
    finally:
        await engine.send("DELETE", f"images/{image.reference}")


@BOTH_STORES
async def test_nothing_is_named_when_a_file_changed(
    engine: Engine, image: Image, code: Path, tmp_path: Path, *, containerd: bool
) -> None:
    """The code that is told is the code that runs, or there is none."""
    layer = layer_of(code)
    code.write_text(PROGRAM.replace("print", "tnirp"))
    coder = coder_of(engine, tmp_path, containerd=containerd)
    with pytest.raises(ChangedError, match=r"main\.py"):
        await coder.make(image, name_of(image, layer), layer)
    assert await inspect_image(engine, str(name_of(image, layer))) is None


@pytest.mark.parametrize("said", [[], [{"error": "no space left on device"}]])
async def test_an_engine_that_loads_nothing_is_an_error(
    image: Image,
    code: Path,
    engine: Engine,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: list[dict[str, str]],
) -> None:
    """What it answers is told; silence is no success."""

    async def refuse(_path: str, on_message: object, **_more: object) -> None:
        assert callable(on_message)
        for message in said:
            on_message(message)

    monkeypatch.setattr(engine, "stream_messages", refuse)
    layer = layer_of(code)
    with pytest.raises(EngineError, match="did not load") as caught:
        await coder_of(engine, tmp_path, containerd=False).make(
            image, name_of(image, layer), layer
        )
    assert all(message["error"] in str(caught.value) for message in said)
