"""An artifact: a document that is attached to an image through its ``subject``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from aweigh.oci.descriptor import Descriptor
from aweigh.oci.digest import Digest
from aweigh.oci.manifest import OCI_MANIFEST, describe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EMPTY", "EMPTY_CONTENT", "Artifact"]

EMPTY_CONTENT: Final = b"{}"
# What stands for a config that an artifact does not have (image spec 1.1, "Guidance
# for an Empty Descriptor").
EMPTY: Final = Descriptor(
    media_type="application/vnd.oci.empty.v1+json",
    digest=Digest.of(EMPTY_CONTENT),
    size=len(EMPTY_CONTENT),
)
_TITLE: Final = "org.opencontainers.image.title"
_NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A document about a manifest (image spec 1.1, "Guidelines for Artifact Usage").

    Attributes:
        media_type: What the document is; also the type of the artifact.
        content: The document.
        title: The file name that it gets when somebody pulls it.
        subject: The manifest that it is about.
        annotations: Free texts of the artifact.
    """

    media_type: str
    content: bytes = field(repr=False)
    title: str
    subject: Descriptor
    annotations: Mapping[str, str] = field(
        default_factory=lambda: _NO_ANNOTATIONS, hash=False
    )

    @property
    def layer(self) -> Descriptor:
        """The descriptor of the document."""
        described = describe(self.content, self.media_type)
        return replace(described, annotations=MappingProxyType({_TITLE: self.title}))

    @property
    def entry(self) -> Descriptor:
        """What lists of artifacts say about this one."""
        described = describe(self.to_bytes(), OCI_MANIFEST)
        return replace(
            described, artifact_type=self.media_type, annotations=self.annotations
        )

    def to_bytes(self) -> bytes:
        """The manifest to push; equal artifacts give equal bytes."""
        subject = Descriptor(
            media_type=self.subject.media_type,
            digest=self.subject.digest,
            size=self.subject.size,
        )
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": self.media_type,
            "config": EMPTY.to_json(),
            "layers": [self.layer.to_json()],
            "subject": subject.to_json(),
        }
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return json.dumps(document, separators=(",", ":")).encode()
