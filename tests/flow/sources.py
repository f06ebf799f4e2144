"""A directory of code and the image it runs in, for tests of flows."""

import dataclasses
import io
import tarfile
import uuid
import zlib
from pathlib import Path

from aweigh import ImageSpec, Settings
from aweigh.backends.registry import RegistryClient
from aweigh.image.image import Image
from aweigh.oci import Index, Manifest, Reference
from aweigh.oci.config import ImageConfig
from tests.conftest import AccessLog
from tests.services import Services

_GZIP = 16 + zlib.MAX_WBITS


def some_spec(services: Services) -> ImageSpec:
    """Return a spec that equals no other test's, and needs no engine."""
    return ImageSpec("demo", base=services.base).with_env(NONCE=uuid.uuid4().hex)


def some_code(directory: Path, text: str = "X = 1\n") -> Path:
    """Write a little program."""
    (directory / "package").mkdir(parents=True)
    (directory / "main.py").write_text("import package.letters\n")
    (directory / "package" / "letters.py").write_text(text)
    return directory


def elsewhere(live: Settings, name: str) -> Settings:
    """Return the settings of a machine that remembers nothing."""
    return dataclasses.replace(live, cache_dir=live.data_dir / name)


async def platforms_of(
    registry: RegistryClient, pinned: str
) -> list[tuple[Manifest, ImageConfig]]:
    """Read the manifests and configs of an image, by its digest."""
    reference = Reference.parse(pinned)
    found = await registry.get_manifest(reference)
    assert found is not None
    assert isinstance(found[0], Index)
    read = []
    for entry in found[0].manifests:
        inner = await registry.get_manifest(reference.with_digest(entry.digest))
        assert inner is not None
        assert isinstance(inner[0], Manifest)
        config = await registry.read_blob(reference, inner[0].config)
        read.append((inner[0], ImageConfig.parse(config)))
    return read


async def files_of(
    registry: RegistryClient, pinned: str, manifest: Manifest
) -> dict[str, bytes]:
    """Unpack the topmost layer: the files in it, by name."""
    content = await registry.read_blob(Reference.parse(pinned), manifest.layers[-1])
    plain = zlib.decompressobj(_GZIP).decompress(content)
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        found = {member.name: archive.extractfile(member) for member in archive}
    return {name: file.read() for name, file in found.items() if file is not None}


async def delete(registry: RegistryClient, image: Image | str) -> None:
    """Delete an image and the manifests of its platforms, as its owner may."""
    reference = Reference.parse(str(image))
    found = await registry.get_manifest(reference)
    assert found is not None
    if isinstance(found[0], Index):
        for entry in found[0].manifests:
            await registry.delete_manifest(reference.with_digest(entry.digest))
    await registry.delete_manifest(reference)


def asked(access_log: AccessLog, live: Settings) -> list[str]:
    """Return what the registry was asked of this test's own repositories."""
    own = str(live.registry).partition("/")[2]
    return [line for line in access_log.lines() if own in line]
