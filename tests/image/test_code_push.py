"""Appending in a registry: all platforms, what is remembered, what goes wrong."""

import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.errors import (
    ChangedError,
    ImageGoneError,
    InvalidManifestError,
    RegistryError,
)
from aweigh.events import silent
from aweigh.image.code import CodeLayer, code_reference
from aweigh.image.code_push import RegistryCoder
from aweigh.image.image import Image, Origin
from aweigh.oci import (
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
    Reference,
    describe,
)
from aweigh.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from aweigh.testing import DictMemory, FakeRegistry
from aweigh.testing.faults import answers
from tests.conftest import AccessLog
from tests.faults.scene import Nobody
from tests.flow.sources import platforms_of

BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture
async def registry() -> AsyncIterator[RegistryClient]:
    """Return a client of all registries."""
    async with open_registry(Nobody(), listener=silent) as client:
        yield client


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a file of code."""
    path = tmp_path / "main.py"
    path.write_text("print('ahoy')\n")
    return path


@pytest.fixture
def coder(registry: RegistryClient, tmp_path: Path) -> RegistryCoder:
    """Return what appends, remembering nothing yet."""
    return RegistryCoder(registry, memory=DictMemory(), directory=tmp_path / "cache")


def members(path: Path, digest: Digest) -> Iterator[Member]:
    """List one file."""
    yield Member(path="app", kind="directory")
    yield Member(path="app/main.py", kind="file", size=14, source=path, digest=digest)


def layer_of(path: Path) -> CodeLayer:
    """Return the layer that has a file as it is now."""
    digest = Digest.of(path.read_bytes())
    return CodeLayer(
        bundle=digest,
        directory="/app",
        compression="auto",
        members=partial(members, path, digest),
    )


async def push_platform(
    registry: RegistryClient, reference: Reference, platform: Platform
) -> Descriptor:
    """Push an image with one layer for one platform; return its index entry."""
    layer = f"a layer of {platform}".encode()
    document = {
        "os": platform.os,
        "architecture": platform.architecture,
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(layer))]},
    }
    config = json.dumps(document).encode()
    blob, described = describe(layer, OCI_LAYER_GZIP), describe(config, OCI_CONFIG)
    await registry.push_blob(reference, blob, layer)
    await registry.push_blob(reference, described, config)
    content = Manifest(config=described, layers=(blob,)).to_bytes()
    entry = describe(content, OCI_MANIFEST)
    await registry.put_manifest(
        reference.with_digest(entry.digest), content, OCI_MANIFEST
    )
    return dataclasses.replace(entry, platform=platform)


async def push_image(
    registry: RegistryClient, repository: str, platforms: tuple[str, ...] = BOTH
) -> Image:
    """Push an image of several platforms."""
    reference = Reference.parse(f"{repository}:made-by-hand")
    entries = [
        await push_platform(registry, reference, Platform.parse(text))
        for text in platforms
    ]
    index = Index(manifests=tuple(entries))
    put = await registry.put_manifest(reference, index.to_bytes(), OCI_INDEX)
    return image_of(reference, put.digest, index.platforms)


def image_of(
    reference: Reference, digest: Digest, platforms: frozenset[Platform]
) -> Image:
    """Describe an image of a registry."""
    return Image(
        reference=reference,
        digest=digest,
        location="registry",
        platforms=platforms,
        origin="built",
        verified_at=0.0,
    )


async def append_to(
    coder: RegistryCoder, image: Image, code: Path
) -> tuple[Origin, Reference]:
    """Put code on an image."""
    layer = layer_of(code)
    reference = code_reference(image, layer.digest(image))
    made = await coder.make(image, reference, layer)
    return made.origin, reference.with_digest(made.digest)


async def test_every_platform_gets_the_same_layer(
    registry: RegistryClient, repository: str, coder: RegistryCoder, code: Path
) -> None:
    """One index has all platforms, and their manifests share one new blob."""
    image = await push_image(registry, repository)
    origin, made = await append_to(coder, image, code)
    assert origin == "built"
    read = await platforms_of(registry, str(made))
    assert [str(config.platform) for _, config in read] == list(BOTH)
    assert len({manifest.layers[-1] for manifest, _ in read}) == 1
    assert len({manifest.layers[0] for manifest, _ in read}) == 2
    assert await append_to(coder, image, code) == ("found", made)


async def test_a_single_manifest_will_do(
    registry: RegistryClient, repository: str, coder: RegistryCoder, code: Path
) -> None:
    """What was pinned may be no index: the result is one all the same."""
    reference = Reference.parse(f"{repository}:made-by-hand")
    entry = await push_platform(registry, reference, Platform.parse(BOTH[0]))
    assert entry.platform is not None
    image = image_of(reference, entry.digest, frozenset({entry.platform}))
    _, made = await append_to(coder, image, code)
    ((manifest, config),) = await platforms_of(registry, str(made))
    assert len(manifest.layers) == len(config.diff_ids) == 2


async def test_what_lies_below_is_read_once(
    registry: RegistryClient,
    repository: str,
    code: Path,
    tmp_path: Path,
    access_log: AccessLog,
) -> None:
    """Whoever shares the memory reads nothing; a damaged row is read anew."""
    image = await push_image(registry, repository)
    memory = DictMemory()

    async def edited(text: str) -> list[str]:
        code.write_text(text)
        coder = RegistryCoder(registry, memory=memory, directory=tmp_path / "cache")
        access_log.mark()
        await append_to(coder, image, code)
        own = f"GET /v2/{image.reference.repository}/"
        return [line for line in access_log.lines() if line.startswith(own)]

    assert len(await edited("print('ahoy')\n")) == 5
    assert await edited("print('oyah')\n") == []
    ((key, row),) = memory.records.items()
    for damage in (
        b"",
        b"[]",
        b"{}",
        b'[["a"]]',
        row.value.replace(b"amd64", b"amd65"),
    ):
        memory.records[key] = dataclasses.replace(row, value=damage)
        assert len(await edited(f"print('{damage[:2].hex():<4}')\n"[:14])) >= 1
        assert memory.records[key].value == row.value


async def test_an_image_that_is_gone_is_said_to_be_gone(
    repository: str, coder: RegistryCoder, code: Path
) -> None:
    """Whoever remembers the image learns that nobody has it."""
    reference = Reference.parse(f"{repository}:never")
    image = image_of(reference, Digest.of(b"never"), frozenset())
    with pytest.raises(ImageGoneError, match="has no"):
        await append_to(coder, image, code)


async def test_layers_that_are_gone_are_an_image_that_is_gone(
    registry: RegistryClient,
    repository: str,
    code: Path,
    tmp_path: Path,
) -> None:
    """Garbage was collected below us, and we still remember the manifest."""
    image = await push_image(registry, repository)
    memory = DictMemory()
    first = RegistryCoder(registry, memory=memory, directory=tmp_path / "cache")
    await append_to(first, image, code)
    empty = Reference.parse(f"{repository}-empty:made-by-hand")
    moved = dataclasses.replace(image, reference=empty)
    second = RegistryCoder(registry, memory=memory, directory=tmp_path / "cache")
    with pytest.raises(ImageGoneError, match="no longer has the layers"):
        await append_to(second, moved, code)


async def test_a_refusal_is_told_as_it_is(
    registry: RegistryClient, coder: RegistryCoder, code: Path
) -> None:
    """A registry that takes no manifests is no image that is gone."""
    async with FakeRegistry() as fake:
        image = await push_image(registry, f"{fake.host}/fleet/demo")
        refusal = {"errors": [{"code": "DENIED", "message": "read only"}]}
        fake.fail(
            answers(405, json.dumps(refusal).encode()),
            method="PUT",
            path="/manifests/",
            times=9,
        )
        with pytest.raises(RegistryError) as caught:
            await append_to(coder, image, code)
    assert not isinstance(caught.value, ImageGoneError)


async def test_nothing_is_named_when_a_file_changed(
    registry: RegistryClient,
    repository: str,
    coder: RegistryCoder,
    code: Path,
    tmp_path: Path,
) -> None:
    """No tag, and no temporary directory either."""
    image = await push_image(registry, repository)
    layer = layer_of(code)
    reference = code_reference(image, layer.digest(image))
    code.write_text("print('oyah')\n")
    with pytest.raises(ChangedError, match=r"main\.py"):
        await coder.make(image, reference, layer)
    assert await registry.head_manifest(reference) is None
    assert list((tmp_path / "cache").iterdir()) == []


async def test_an_index_without_platforms_is_refused(
    registry: RegistryClient, repository: str, coder: RegistryCoder, code: Path
) -> None:
    """There is nothing that code could be put on."""
    reference = Reference.parse(f"{repository}:empty")
    content = Index(manifests=()).to_bytes()
    put = await registry.put_manifest(reference, content, OCI_INDEX)
    with pytest.raises(InvalidManifestError, match="no platform"):
        await append_to(coder, image_of(reference, put.digest, frozenset()), code)


async def test_an_index_in_an_index_is_refused(
    registry: RegistryClient, repository: str, coder: RegistryCoder, code: Path
) -> None:
    """The specification allows it, and no engine runs it."""
    inner = await push_image(registry, repository)
    described = await registry.head_manifest(inner.reference)
    assert described is not None
    entry = dataclasses.replace(described, platform=Platform.parse(BOTH[0]))
    content = Index(manifests=(entry,)).to_bytes()
    reference = inner.reference.with_tag("outer")
    put = await registry.put_manifest(reference, content, OCI_INDEX)
    with pytest.raises(InvalidManifestError, match="another index"):
        await append_to(coder, image_of(reference, put.digest, frozenset()), code)


def test_the_name_depends_on_all_that_the_image_depends_on(code: Path) -> None:
    """Image, code, place and compression each give another tag."""
    reference = Reference.parse("registry.example/demo:aw-1")
    image = image_of(reference, Digest.of(b"image"), frozenset())
    layer = layer_of(code)
    digests = {
        layer.digest(image),
        layer.digest(dataclasses.replace(image, digest=Digest.of(b"other"))),
        dataclasses.replace(layer, bundle=Digest.of(b"other")).digest(image),
        dataclasses.replace(layer, directory="/srv").digest(image),
        dataclasses.replace(layer, compression="zstd").digest(image),
    }
    assert len(digests) == 5
    same = dataclasses.replace(image, origin="found", verified_at=9.0)
    assert layer.digest(same) == layer.digest(image)
