"""Code that is to lie on an image, and the name of the image that then has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.memory import digest_parts
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aweigh.archive.member import Member
    from aweigh.image.image import Image, Origin
    from aweigh.oci import Reference
    from aweigh.settings import Compression

__all__ = ["Appended", "CodeLayer", "code_reference"]

# Raise it when the same code on the same image is to become another image.
FORMAT: Final = "1"
TAG_PREFIX: Final = "aw-code-"
_TAG_DIGITS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLayer:
    """Code that is to lie on an image.

    Attributes:
        bundle: The digest of the bundle with the same files.
        directory: Where it lies, an absolute path in the image.
        compression: How the layer is to be compressed, as the settings say.
        members: Lists its files anew at each call; reading one notices when it is no
            longer what the bundle has.
    """

    bundle: Digest
    directory: str
    compression: Compression
    members: Callable[[], Iterable[Member]]

    def digest(self, image: Image) -> Digest:
        """Digest all that the image with the code is a function of."""
        parts = (
            "code image",
            FORMAT,
            str(image.digest),
            str(self.bundle),
            self.directory,
            self.compression,
        )
        return Digest(digest_parts(parts).hex())


@dataclass(frozen=True, slots=True)
class Appended:
    """An image that has the code.

    Attributes:
        digest: In a registry: of its index. In the engine: the image id.
        origin: ``found`` when it was there already, else ``built``.
    """

    digest: Digest
    origin: Origin


def code_reference(image: Image, digest: Digest) -> Reference:
    """Name an image with code: beside the image that it lies on.

    The tag keeps the registry's garbage collection away; nobody has to read it.
    """
    return image.reference.with_tag(f"{TAG_PREFIX}{digest.hex[:_TAG_DIGITS]}")
