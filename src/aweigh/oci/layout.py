"""Names inside an OCI image layout (OCI image spec, image-layout.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.oci.digest import Digest

__all__ = [
    "INDEX_FILE",
    "LAYOUT_FILE",
    "LAYOUT_HOST",
    "REF_NAME_ANNOTATION",
    "blob_path",
]

INDEX_FILE: Final = "index.json"
LAYOUT_FILE: Final = "oci-layout"
# In front of the names in a layout; a registry on this machine is named with its port.
LAYOUT_HOST: Final = "localhost"
REF_NAME_ANNOTATION: Final = "org.opencontainers.image.ref.name"


def blob_path(layout: Path, digest: Digest) -> Path:
    """Return where a layout keeps the blob of this digest."""
    return layout / "blobs" / "sha256" / digest.hex
