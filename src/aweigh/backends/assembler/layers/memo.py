"""Which blob stands for a layer key: remembered here, and in the registry itself.

In the registry it needs no format of our own: our manifests say each layer's key in an
annotation, and one moving tag per Python and platform points at the latest of them.
"""

from __future__ import annotations

import asyncio
import json
import tarfile
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.layers.environment import lock_in
from aweigh.backends.assembler.layers.previous import preferred
from aweigh.errors import (
    AuthenticationError,
    AweighError,
    InvalidManifestError,
    RegistryError,
    RegistryUnavailableError,
)
from aweigh.events import Warned
from aweigh.memory import Record, Table, record_key
from aweigh.oci import Descriptor, Digest, Manifest
from aweigh.oci.config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aweigh.events import Listener
    from aweigh.image.pack import Codec
    from aweigh.image.registry import Registry
    from aweigh.memory import Memory
    from aweigh.oci import Platform, Reference

__all__ = [
    "BYTECODE_ANNOTATION",
    "ENVIRONMENT",
    "KEY_ANNOTATION",
    "NAME_ANNOTATION",
    "CachedImage",
    "LayerMemo",
    "StoredLayer",
    "cache_tag",
    "read_cached",
]

KEY_ANNOTATION: Final = "aweigh.layer-key"
NAME_ANNOTATION: Final = "aweigh.layer"
BYTECODE_ANNOTATION: Final = "aweigh.bytecode"
ENVIRONMENT: Final = "environment"
_FORMAT: Final = "layer-1"
_KEEP_SECONDS: Final = 180 * 86_400.0
_LOCK_LIMIT: Final = 8 << 20


def cache_tag(python: str, platform: Platform, *, environments: int = 0) -> str:
    """Name the moving tag of one Python and platform.

    Args:
        python: The Python version as ``X.Y``.
        platform: The platform.
        environments: How many images below, of the same spec, hold packages already:
            they have cache tags of their own, for theirs are not the same layers.
    """
    parts = ["aw-cache", python, *str(platform).split("/")]
    parts += [f"on{environments}"] if environments else []
    return "-".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer that a registry holds, or held.

    Attributes:
        descriptor: The compressed blob, with its annotations.
        diff_id: The digest of the uncompressed layer.
        repository: Where it was seen.
    """

    descriptor: Descriptor
    diff_id: Digest
    repository: str


@dataclass(frozen=True, slots=True)
class CachedImage:
    """What the last image under the cache tag says.

    Attributes:
        layers: Its layers by key.
        lock: The versions of the lock it was made from, as a lock; or None.
    """

    layers: Mapping[str, StoredLayer] = field(default_factory=dict)
    lock: str | None = None

    @property
    def bytecodes(self) -> frozenset[str]:
        """The interpreters that compiled its layers."""
        tags = (
            layer.descriptor.annotations.get(BYTECODE_ANNOTATION, "")
            for layer in self.layers.values()
        )
        return frozenset(filter(None, tags))


async def read_cached(
    registry: Registry, reference: Reference, listener: Listener
) -> CachedImage:
    """Read the image under a cache tag; without one, or a readable one, know nothing.

    Raises:
        RegistryError: The registry did not answer; a push would fail as well.
    """
    try:
        found = await registry.get_manifest(reference)
    except AuthenticationError:
        # Registries hide repositories that do not exist yet.
        return CachedImage()
    except RegistryUnavailableError:
        raise
    except (InvalidManifestError, RegistryError) as error:
        listener(_warning(reference, "layers", error))
        return CachedImage()
    if found is None or not isinstance(found[0], Manifest):
        return CachedImage()
    layers: Mapping[str, StoredLayer] = {}
    lock: str | None = None
    try:
        layers = await _layers(registry, reference, found[0])
    except AweighError as error:
        listener(_warning(reference, "layers", error))
    try:
        lock = await _lock(registry, reference, found[0])
    except (AweighError, tarfile.TarError, UnicodeDecodeError) as error:
        listener(_warning(reference, "versions", error))
    return CachedImage(layers, lock)


def _warning(reference: Reference, what: str, error: Exception) -> Warned:
    return Warned(
        message=f"{reference} says nothing about earlier {what}: {error}",
        hint="nothing is lost but time; the build goes on without",
    )


async def _layers(
    registry: Registry, reference: Reference, manifest: Manifest
) -> Mapping[str, StoredLayer]:
    content = await registry.read_blob(reference, manifest.config)
    return _by_key(manifest, ImageConfig.parse(content), reference)


def _by_key(
    manifest: Manifest, config: ImageConfig, reference: Reference
) -> dict[str, StoredLayer]:
    if len(manifest.layers) != len(config.diff_ids):
        raise InvalidManifestError(
            "its config has other layers than its manifest", hint="push it again"
        )
    return {
        layer.annotations[KEY_ANNOTATION]: StoredLayer(
            layer, diff_id, reference.repository
        )
        for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True)
        if KEY_ANNOTATION in layer.annotations
    }


async def _lock(
    registry: Registry, reference: Reference, manifest: Manifest
) -> str | None:
    """Read what the lock prefers out of the layer that has it."""
    for layer in manifest.layers:
        if layer.annotations.get(NAME_ANNOTATION) == ENVIRONMENT:
            content = await registry.read_blob(reference, layer, limit=_LOCK_LIMIT)
            text = await asyncio.to_thread(lock_in, content, limit=_LOCK_LIMIT)
            return None if text is None else preferred(text)
    return None


class LayerMemo:
    """Recalls layers by key: of the cached image, else of this machine.

    Args:
        memory: What this machine remembers; None remembers nothing.
        reference: The destination.
        codec: How the layers have to be compressed.
        cached: What the registry remembers.
    """

    def __init__(
        self,
        memory: Memory | None,
        reference: Reference,
        codec: Codec,
        cached: CachedImage,
    ) -> None:
        self._memory = memory
        self._reference = reference
        self._codec = codec
        self._cached = cached

    async def recall(self, key: Digest) -> StoredLayer | None:
        """Return what stood for a key; whether it still exists is to be asked."""
        stored = self._cached.layers.get(str(key))
        if stored and stored.descriptor.media_type == self._codec.media_type:
            return stored
        if self._memory is None:
            return None
        record = await self._memory.recall(Table.LAYERS, self._row(key))
        return None if record is None else _read(record.value)

    async def remember(self, layers: Iterable[StoredLayer]) -> None:
        """Keep what the destination holds now."""
        if self._memory is None:
            return
        now = time.time()
        records = [
            Record(
                table=Table.LAYERS,
                key=self._row(
                    Digest.parse(layer.descriptor.annotations[KEY_ANNOTATION])
                ),
                value=_written(replace(layer, repository=self._reference.repository)),
                created_at=now,
                verified_at=now,
                expires_at=now + _KEEP_SECONDS,
            )
            for layer in layers
        ]
        await self._memory.remember(records)

    def _row(self, key: Digest) -> str:
        return record_key(_FORMAT, self._reference.registry, self._codec.name, key.hex)


def _written(layer: StoredLayer) -> bytes:
    document = {
        "descriptor": layer.descriptor.to_json(),
        "diff_id": str(layer.diff_id),
        "repository": layer.repository,
    }
    return json.dumps(document, sort_keys=True).encode()


def _read(value: bytes) -> StoredLayer:
    document = json.loads(value)
    return StoredLayer(
        Descriptor.from_json(document["descriptor"], where="a remembered layer"),
        Digest.parse(document["diff_id"]),
        document["repository"],
    )
