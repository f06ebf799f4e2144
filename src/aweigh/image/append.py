"""Code on top of an image: one more layer, and a config that says where it is.

Nothing else of the image changes: the layers below keep their digests, and whoever has
them moves only the new one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aweigh.image.install import VENV
from aweigh.oci import Index, describe
from aweigh.oci.manifest import ATTESTATION_ANNOTATION, OCI_CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.image.code import CodeLayer
    from aweigh.oci import Descriptor, Digest, Manifest
    from aweigh.oci.config import ImageConfig

__all__ = ["append", "code_config", "code_index", "runnable"]

BUNDLE_ANNOTATION: Final = "aweigh.bundle"
NAME_ANNOTATION: Final = "aweigh.layer"
_NAME: Final = "code"
_BIN: Final = f"{VENV}/bin"


def code_config(config: ImageConfig, layer: CodeLayer, diff_id: Digest) -> ImageConfig:
    """Say in a config that a layer of code is there, and that programs start in it.

    Args:
        config: Of the image below.
        layer: The code.
        diff_id: The digest of the uncompressed layer.
    """
    found = config.environment
    directory = layer.directory
    behind = [one for one in found.get("PYTHONPATH", "").split(":") if one]
    places = [directory, *(one for one in behind if one != directory)]
    path = [one for one in config.path.split(":") if one != _BIN]
    return (
        config.with_layers([(f"code {directory}", diff_id)])
        .with_workdir(directory)
        .with_environment(
            {"PATH": ":".join((_BIN, *path)), "PYTHONPATH": ":".join(places)}
        )
    )


def append(
    manifest: Manifest,
    config: ImageConfig,
    layer: CodeLayer,
    blob: Descriptor,
    diff_id: Digest,
) -> tuple[Manifest, bytes]:
    """Put a layer of code on one platform's image.

    Args:
        manifest: The image below.
        config: Its config.
        layer: The code.
        blob: The compressed layer.
        diff_id: The digest of the uncompressed one.

    Returns:
        The manifest of the image with the code, and the config it points at.
    """
    content = code_config(config, layer, diff_id).to_bytes()
    told = {NAME_ANNOTATION: _NAME, BUNDLE_ANNOTATION: str(layer.bundle)}
    below = manifest.as_oci()
    added = replace(blob, annotations=told)
    return (
        replace(
            below,
            config=describe(content, OCI_CONFIG),
            layers=(*below.layers, added),
        ),
        content,
    )


def runnable(index: Index) -> list[Descriptor]:
    """Return the images of an index, without what is attached to them."""
    return [
        entry
        for entry in index.manifests
        if entry.platform is not None
        and ATTESTATION_ANNOTATION not in entry.annotations
    ]


def code_index(entries: Sequence[Descriptor], layer: CodeLayer) -> Index:
    """Make the index of an image with code, from its platforms' manifests."""
    merged = Index(manifests=()).merge(*entries)
    return replace(merged, annotations={BUNDLE_ANNOTATION: str(layer.bundle)})
