"""A descriptor: media type, digest and size of some content (OCI image spec)."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aweigh.errors import InvalidDigestError, InvalidManifestError
from aweigh.oci.digest import Digest
from aweigh.oci.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OCI_INDEX", "Descriptor", "read_annotations", "require"]

T = TypeVar("T")

OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """Points at content by digest.

    Attributes:
        media_type: What the content is.
        digest: Its digest.
        size: Its size in bytes.
        platform: For the entries of an index: where that manifest runs.
        artifact_type: For the entries of an index: what that manifest holds when it is
            no image.
        annotations: Free texts that travel with the pointer.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(
        default_factory=lambda: _NO_ANNOTATIONS, hash=False
    )

    @classmethod
    def from_json(cls, document: object, *, where: str) -> Self:
        """Read a descriptor out of a parsed JSON document.

        Args:
            document: What the JSON parser returned.
            where: The path to it, for the error: ``layers[2]``.

        Raises:
            InvalidManifestError: A field is missing or has the wrong type.
        """
        body = require(document, dict, where=where)
        size = require(body.get("size"), int, where=f"{where}.size")
        if isinstance(size, bool) or size < 0:
            raise InvalidManifestError(
                f"{where}.size is {size!r}", hint="the registry's answer is damaged"
            )
        platform = body.get("platform")
        kind = body.get("artifactType")
        return cls(
            media_type=require(body.get("mediaType"), str, where=f"{where}.mediaType"),
            digest=_digest(body.get("digest"), where=f"{where}.digest"),
            size=size,
            platform=None if platform is None else _platform(platform, where=where),
            artifact_type=require(
                "" if kind is None else kind, str, where=f"{where}.artifactType"
            ),
            annotations=read_annotations(
                body.get("annotations"), where=f"{where}.annotations"
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as the document the spec describes."""
        document: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.platform is not None:
            document["platform"] = {
                "architecture": self.platform.architecture,
                "os": self.platform.os,
            }
            if self.platform.variant:
                document["platform"]["variant"] = self.platform.variant
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        return document


def require(value: object, kind: type[T], *, where: str) -> T:
    """Return a field of a JSON document, which must have this type.

    Raises:
        InvalidManifestError: It has another type, or is missing.
    """
    if not isinstance(value, kind):
        found = "missing" if value is None else type(value).__name__
        raise InvalidManifestError(
            f"{where} should be {kind.__name__} and is {found}",
            hint="the registry's answer is damaged or is no OCI document",
        )
    return value


def read_annotations(value: object, *, where: str) -> Mapping[str, str]:
    """Return the annotations of a JSON document: texts by name, none when missing.

    Raises:
        InvalidManifestError: They are something else.
    """
    if value is None:
        return _NO_ANNOTATIONS
    return MappingProxyType(
        {
            key: require(text, str, where=f"{where}[{key!r}]")
            for key, text in require(value, dict, where=where).items()
        }
    )


def _digest(value: object, *, where: str) -> Digest:
    try:
        return Digest.parse(require(value, str, where=where))
    except InvalidDigestError as error:
        raise InvalidManifestError(f"{where}: {error}", hint=error.hint) from error


def _platform(document: object, *, where: str) -> Platform:
    body = require(document, dict, where=f"{where}.platform")
    variant = body.get("variant")
    variant = "" if variant is None else variant
    return Platform.of(
        require(body.get("os"), str, where=f"{where}.platform.os"),
        require(body.get("architecture"), str, where=f"{where}.platform.architecture"),
        require(variant, str, where=f"{where}.platform.variant"),
    )
