"""Manifests and indexes: what a registry calls an image.

Both the OCI media types and Docker's older equivalents are understood. A document
must be exactly one of the two kinds, and must say the same as its media type
(CVE-2021-41190): anything ambiguous is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aweigh.errors import InvalidManifestError
from aweigh.oci.descriptor import OCI_INDEX, Descriptor, read_annotations, require
from aweigh.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.oci.platform import Platform

__all__ = [
    "ATTESTATION_ANNOTATION",
    "DOCKER_CONFIG",
    "DOCKER_LAYER_GZIP",
    "DOCKER_MANIFEST",
    "DOCKER_MANIFEST_LIST",
    "INDEX_TYPES",
    "MANIFEST_TYPES",
    "OCI_CONFIG",
    "OCI_INDEX",
    "OCI_LAYER",
    "OCI_LAYER_GZIP",
    "OCI_LAYER_ZSTD",
    "OCI_MANIFEST",
    "Index",
    "Manifest",
    "describe",
    "parse_manifest",
]

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_MANIFEST_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

# BuildKit marks the provenance manifests that it adds to an index with this.
ATTESTATION_ANNOTATION = "vnd.docker.reference.type"

_OCI_EQUIVALENTS = {
    DOCKER_CONFIG: OCI_CONFIG,
    DOCKER_LAYER_GZIP: OCI_LAYER_GZIP,
    # BuildKit writes these two when it is asked for Docker's types.
    "application/vnd.docker.image.rootfs.diff.tar.zstd": OCI_LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": OCI_LAYER,
}
_NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One platform's image: its config and its layers, lowest first.

    Attributes:
        config: The descriptor of the config.
        layers: The descriptors of the layers, lowest first.
        media_type: OCI's or Docker's media type.
        annotations: Free texts of the manifest.
    """

    config: Descriptor
    layers: tuple[Descriptor, ...]
    media_type: str = OCI_MANIFEST
    annotations: Mapping[str, str] = field(
        default_factory=lambda: _NO_ANNOTATIONS, hash=False
    )

    def as_oci(self) -> Manifest:
        """The same image in OCI's media types; blobs are the same bytes."""
        return Manifest(
            config=_as_oci(self.config),
            layers=tuple(map(_as_oci, self.layers)),
            annotations=self.annotations,
        )

    def to_bytes(self) -> bytes:
        """The document to push; equal manifests give equal bytes."""
        document = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
        return _document(document, self.annotations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Several manifests under one name, usually one per platform.

    Attributes:
        manifests: The descriptors of the manifests.
        media_type: OCI's or Docker's media type.
        annotations: Free texts of the index.
    """

    manifests: tuple[Descriptor, ...]
    media_type: str = OCI_INDEX
    annotations: Mapping[str, str] = field(
        default_factory=lambda: _NO_ANNOTATIONS, hash=False
    )

    @property
    def platforms(self) -> frozenset[Platform]:
        """Where this index has an image for; attestations do not count."""
        return frozenset(
            entry.platform
            for entry in self.manifests
            if entry.platform is not None and not _is_attestation(entry)
        )

    def merge(self, *entries: Descriptor) -> Index:
        """Put entries in place of the ones with the same platform, sorted.

        Of several entries for one platform the last counts. Attestations, and entries
        without a platform, stand beside each other: only the same content is replaced.
        """
        added = {_place(entry): entry for entry in entries}
        kept = [entry for entry in self.manifests if _place(entry) not in added]
        merged = sorted(
            (*kept, *added.values()), key=lambda m: (str(m.platform), m.digest.hex)
        )
        return Index(manifests=tuple(merged), annotations=self.annotations)

    def to_bytes(self) -> bytes:
        """The document to push; equal indexes give equal bytes."""
        document = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "manifests": [entry.to_json() for entry in self.manifests],
        }
        return _document(document, self.annotations)


def parse_manifest(content: bytes, media_type: str) -> Manifest | Index:
    """Read a manifest or an index that was served as ``media_type``.

    Raises:
        InvalidManifestError: It is no JSON, not schema version 2, of an unknown
            media type, of another kind than its media type says, or both kinds at
            once.
    """
    body = _load(content)
    if body.get("schemaVersion") != 2:  # noqa: PLR2004 - the spec's own number
        raise _refused(f"schemaVersion is {body.get('schemaVersion')!r}")
    if body.get("mediaType", media_type) != media_type:
        raise _refused(f"served as {media_type}, says {body['mediaType']!r} of itself")
    if media_type in INDEX_TYPES:
        _refuse_fields(body, "config", "layers", kind="an index")
        return Index(
            manifests=_descriptors(body, "manifests"),
            media_type=media_type,
            annotations=read_annotations(body.get("annotations"), where="annotations"),
        )
    if media_type in MANIFEST_TYPES:
        _refuse_fields(body, "manifests", kind="a manifest")
        return Manifest(
            config=Descriptor.from_json(body.get("config"), where="config"),
            layers=_descriptors(body, "layers"),
            media_type=media_type,
            annotations=read_annotations(body.get("annotations"), where="annotations"),
        )
    raise _refused(f"media type {media_type!r} is neither manifest nor index")


def _load(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content, object_pairs_hook=_unique)
    except InvalidManifestError:
        raise
    except (ValueError, RecursionError) as error:
        raise _refused("it is no JSON") from error
    return require(document, dict, where="the document")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse names that come twice: other readers may take the other value."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _refused("it says something twice")
    return document


def _refuse_fields(body: dict[str, Any], *names: str, kind: str) -> None:
    found = [name for name in names if name in body]
    if found:
        raise _refused(f"{kind} must not have {' and '.join(found)}")


def _descriptors(body: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    entries = require(body.get(name), list, where=name)
    return tuple(
        Descriptor.from_json(entry, where=f"{name}[{position}]")
        for position, entry in enumerate(entries)
    )


def _is_attestation(entry: Descriptor) -> bool:
    return ATTESTATION_ANNOTATION in entry.annotations


def _place(entry: Descriptor) -> Platform | Digest:
    """What an index has one of: an image per platform, and else each content once."""
    if entry.platform is None or _is_attestation(entry):
        return entry.digest
    return entry.platform


def _as_oci(descriptor: Descriptor) -> Descriptor:
    return replace(
        descriptor,
        media_type=_OCI_EQUIVALENTS.get(descriptor.media_type, descriptor.media_type),
    )


def _document(document: dict[str, Any], annotations: Mapping[str, str]) -> bytes:
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return json.dumps(document, separators=(",", ":")).encode()


def _refused(reason: str) -> InvalidManifestError:
    return InvalidManifestError(
        f"unusable manifest: {reason}",
        hint="the registry, or something between it and us, altered the answer",
    )


def describe(content: bytes, media_type: str) -> Descriptor:
    """Return the descriptor of a document that is about to be pushed."""
    return Descriptor(
        media_type=media_type, digest=Digest.of(content), size=len(content)
    )
