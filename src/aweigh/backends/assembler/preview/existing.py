"""What an image that exists consists of, as its manifest and config say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.layers.memo import ENVIRONMENT, NAME_ANNOTATION
from aweigh.errors import RegistryError
from aweigh.image.preview import PlannedLayer, PlatformPlan, Reuse
from aweigh.image.request import BASE_DIGEST_LABEL
from aweigh.oci import Digest, Manifest
from aweigh.oci.config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.image.preview import LayerKind
    from aweigh.image.registry import Registry
    from aweigh.oci import Descriptor, Platform, Reference

__all__ = ["describe_existing"]

_SHOWN: Final = 100


async def describe_existing(
    registry: Registry, reference: Reference, platform: Platform
) -> PlatformPlan:
    """Read what one platform of an image consists of: two small requests.

    Args:
        registry: The registries.
        reference: The platform's manifest, by digest.
        platform: The platform.

    Raises:
        RegistryError: The registry did not answer as it should.
        InvalidManifestError: What is there is no image of one platform.
    """
    found = await registry.get_manifest(reference)
    if found is None or not isinstance(found[0], Manifest):
        raise RegistryError(
            f"{reference} is named by the image's index and is not there",
            hint="build it again: aweigh ensure --rebuild",
            registry=reference.registry,
        )
    manifest = found[0]
    config = ImageConfig.parse(await registry.read_blob(reference, manifest.config))
    told = config.labels.get(BASE_DIGEST_LABEL)
    return PlatformPlan(
        platform=platform,
        exists=True,
        layers=tuple(_rows(manifest, config, reference)),
        base_was=None if told is None else Digest.parse(told),
    )


def _rows(
    manifest: Manifest, config: ImageConfig, reference: Reference
) -> Iterator[PlannedLayer]:
    reuse = Reuse(place="repository", source=reference.name, known_by="registry")
    assembled = any(NAME_ANNOTATION in one.annotations for one in manifest.layers)
    told = config.told
    if len(told) != len(manifest.layers):
        told = ["it is part of the image"] * len(manifest.layers)
    for layer, line in zip(manifest.layers, told, strict=True):
        name, kind = _named(layer, assembled=assembled)
        why = "made by aweigh" if NAME_ANNOTATION in layer.annotations else line
        yield PlannedLayer(
            name=name,
            kind=kind,
            why=" ".join(why.split())[:_SHOWN],
            size=layer.size,
            exact=True,
            reuse=reuse,
        )


def _named(layer: Descriptor, *, assembled: bool) -> tuple[str, LayerKind]:
    """Tell what a layer is for by what the planner called it."""
    name = layer.annotations.get(NAME_ANNOTATION)
    if name is None:
        kind: LayerKind = "base" if assembled else "engine"
        return f"{kind} {layer.digest.hex[:12]}", kind
    if name == ENVIRONMENT:
        return name, "environment"
    if name == "first-party":
        return name, "first-party"
    if name.startswith(("files ", "workdir ")):
        return name, "files"
    return name, "light" if name.startswith("light-") else "heavy"
