"""Putting platform manifests under one tag: always an OCI index.

Registries have no compare-and-swap, so adding an entry is GET, merge, PUT and GET
again, repeated until our entries are there: of two writers who add different
platforms at the same time, the one whose write was lost sees it and writes again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aweigh.errors import RegistryError
from aweigh.oci import Index, Manifest, describe
from aweigh.oci.manifest import OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aweigh.image.registry import Manifests
    from aweigh.oci import Descriptor, Digest, Platform, Reference

__all__ = ["platform_entries", "publish", "publish_entries"]

_ATTEMPTS = 5


async def publish(
    manifests: Manifests, reference: Reference, built: Mapping[Platform, Digest]
) -> tuple[Descriptor, Index]:
    """Make ``reference`` an index that has these platform manifests.

    Entries of other platforms stay. Cancelling may leave the tag as it was or as it
    should be, never anything else.

    Returns:
        The descriptor of the index, and the index.

    Raises:
        RegistryError: The registry refused, or other writers kept undoing our entry.
    """
    entries = await platform_entries(manifests, reference, built)
    return await publish_entries(manifests, reference, entries)


async def platform_entries(
    manifests: Manifests, reference: Reference, built: Mapping[Platform, Digest]
) -> list[Descriptor]:
    """Return the index entries of what builders pushed: OCI manifests, one each.

    What was pushed in Docker's media types is put beside it in OCI's.

    Raises:
        RegistryError: The registry refused, or a push is not there.
    """
    return [
        await _platform_entry(manifests, reference, platform, digest)
        for platform, digest in built.items()
    ]


async def publish_entries(
    manifests: Manifests, reference: Reference, entries: Sequence[Descriptor]
) -> tuple[Descriptor, Index]:
    """Do what `publish` does, with entries that are known already.

    Where they are there already, nothing is written.

    Raises:
        RegistryError: The registry refused, or other writers kept undoing our entry.
    """
    for left in reversed(range(_ATTEMPTS + 1)):
        found = await manifests.get_manifest(reference)
        index = _index(found)
        merged = index.merge(*entries)
        if found is not None and _says(found[1], index, merged):
            return found[1], index
        if left:
            await manifests.put_manifest(reference, merged.to_bytes(), OCI_INDEX)
    raise RegistryError(
        f"{reference} was overwritten by somebody else {_ATTEMPTS} times in a row",
        hint="let one process at a time add platforms to one image",
        registry=reference.registry,
    )


def _says(descriptor: Descriptor, index: Index, wanted: Index) -> bool:
    """Tell whether an index is what we would write, whoever sorted it."""
    is_ours = set(index.manifests) == set(wanted.manifests)
    return is_ours and descriptor.media_type == OCI_INDEX


def _index(found: tuple[Manifest | Index, Descriptor, bytes] | None) -> Index:
    if found is None or not isinstance(found[0], Index):
        return Index(manifests=())
    # Somebody else's Docker-typed list becomes an OCI index with the same entries.
    return replace(found[0], media_type=OCI_INDEX)


async def _platform_entry(
    manifests: Manifests, reference: Reference, platform: Platform, digest: Digest
) -> Descriptor:
    """Return the index entry of what a builder pushed, in OCI's media types."""
    found = await manifests.get_manifest(reference.with_digest(digest))
    if found is None:
        raise RegistryError(
            f"{reference.with_digest(digest)} was pushed and is not there",
            hint="ask whoever runs the registry whether it deletes fresh uploads",
            registry=reference.registry,
        )
    document, descriptor, _ = found
    if isinstance(document, Index):
        return await _entry_of_index(manifests, reference, document, platform)
    if document.media_type != OCI_MANIFEST:
        content = document.as_oci().to_bytes()
        descriptor = describe(content, OCI_MANIFEST)
        await manifests.put_manifest(
            reference.with_digest(descriptor.digest), content, OCI_MANIFEST
        )
    return replace(descriptor, platform=platform)


async def _entry_of_index(
    manifests: Manifests, reference: Reference, index: Index, platform: Platform
) -> Descriptor:
    """Engines on the containerd store push an index even for one platform."""
    for entry in index.manifests:
        if entry.platform == platform:
            return await _platform_entry(manifests, reference, platform, entry.digest)
    raise RegistryError(
        f"the pushed index of {reference} has no image for {platform}",
        hint="report this with the output of `aweigh doctor`",
        registry=reference.registry,
    )
