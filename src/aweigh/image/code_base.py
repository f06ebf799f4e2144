"""What has to be known of an image to put a layer on it: read once per digest."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.concurrency.together import every
from aweigh.errors import ImageGoneError, InvalidManifestError
from aweigh.image.append import runnable
from aweigh.memory import Record, Table, record_key
from aweigh.oci import Digest, Index, Manifest, describe, parse_manifest
from aweigh.oci.config import ImageConfig

if TYPE_CHECKING:
    from aweigh.image.image import Image
    from aweigh.image.registry import Registry
    from aweigh.memory import Memory
    from aweigh.oci import Descriptor, Platform, Reference

__all__ = ["Below", "Belows"]

_FORMAT: Final = "code base 1"
_KEEP_SECONDS: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Below:
    """One platform of the image that code is put on.

    Attributes:
        platform: Where it runs.
        manifest: Its layers.
        config: Its config.
    """

    platform: Platform
    manifest: Manifest
    config: ImageConfig


@dataclass(frozen=True, slots=True)
class _Document:
    """A document of a registry, as it came.

    Attributes:
        content: Its bytes.
        media_type: What it was served as.
    """

    content: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


class Belows:
    """Reads images for those who put a layer on them, and remembers what it read."""

    def __init__(self, registry: Registry, memory: Memory) -> None:
        """Read from this registry what this memory does not have."""
        self._registry = registry
        self._memory = memory

    async def of(self, image: Image) -> list[Below]:
        """Return all platforms of an image.

        Documents are named by their digests, so what is remembered cannot be stale:
        it is checked against the image's digest like an answer of the registry.

        Raises:
            ImageGoneError: The registry does not have the image.
            RegistryError: It did not answer as it should.
        """
        key = record_key(_FORMAT, str(image.digest))
        record = await self._memory.recall(Table.BASE_FACTS, key)
        if record is not None:
            found = _taken(_unpacked(record.value), image.digest)
            if found:
                return found
        documents = await self._read(image.reference, image.digest)
        found = _taken(documents, image.digest)
        if not found:
            raise InvalidManifestError(
                f"{image} has no platform that code could be put on",
                hint="ensure it again with rebuild",
            )
        now = time.time()
        kept = Record(
            table=Table.BASE_FACTS,
            key=key,
            value=_packed(documents),
            created_at=now,
            verified_at=now,
            expires_at=now + _KEEP_SECONDS,
        )
        await self._memory.remember([kept])
        return found

    async def _read(self, repository: Reference, digest: Digest) -> list[_Document]:
        top = await self._document(repository.with_digest(digest))
        parsed = parse_manifest(top.content, top.media_type)
        if isinstance(parsed, Manifest):
            return [top, await self._config(repository, parsed)]
        manifests = await every(
            self._document(repository.with_digest(entry.digest))
            for entry in runnable(parsed)
        )
        configs = await every(
            self._config(repository, _manifest(one)) for one in manifests
        )
        return [top, *manifests, *configs]

    async def _document(self, reference: Reference) -> _Document:
        found = await self._registry.get_manifest(reference)
        if found is None:
            raise ImageGoneError(
                f"{reference.registry} has no {reference}",
                hint="somebody deleted it; ensure the image again",
                target=reference.registry,
            )
        _, descriptor, content = found
        return _Document(content, descriptor.media_type)

    async def _config(self, repository: Reference, manifest: Manifest) -> _Document:
        content = await self._registry.read_blob(repository, manifest.config)
        return _Document(content, manifest.config.media_type)


def _manifest(document: _Document) -> Manifest:
    parsed = parse_manifest(document.content, document.media_type)
    if isinstance(parsed, Index):
        raise InvalidManifestError(
            "an index of the image holds another index",
            hint="push the image with one level of platforms",
        )
    return parsed


def _taken(documents: list[_Document], digest: Digest) -> list[Below]:
    """Put documents together again; nothing when one of them is missing."""
    by_digest = {document.digest: document for document in documents}
    top = by_digest.get(digest)
    if top is None:
        return []
    parsed = parse_manifest(top.content, top.media_type)
    if isinstance(parsed, Manifest):
        wanted: list[Descriptor] = [describe(top.content, top.media_type)]
    else:
        wanted = runnable(parsed)
    found = []
    for entry in wanted:
        document = by_digest.get(entry.digest)
        if document is None:
            return []
        manifest = _manifest(document)
        held = by_digest.get(manifest.config.digest)
        if held is None:
            return []
        config = ImageConfig.parse(held.content)
        found.append(Below(entry.platform or config.platform, manifest, config))
    return found


def _packed(documents: list[_Document]) -> bytes:
    pairs = [(one.media_type, one.content.decode()) for one in documents]
    return json.dumps(pairs, separators=(",", ":")).encode()


def _unpacked(value: bytes) -> list[_Document]:
    try:
        return [
            _Document(content.encode(), media_type)
            for media_type, content in json.loads(value)
        ]
    except (ValueError, TypeError, AttributeError):
        return []
