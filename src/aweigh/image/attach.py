"""Attaching documents to images: artifacts, found through the image they are about.

Registries that know the referrers API (distribution spec 1.1) list artifacts
themselves. For the others there is a tag, ``sha256-<hex of the image>``, that names an
index of all artifacts, ours and everybody's: writers keep it up to date.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from aweigh.errors import AweighError, RegistryError
from aweigh.events import Warned
from aweigh.image.registry import Manifests
from aweigh.image.sbom import describe_contents
from aweigh.oci import Index
from aweigh.oci.artifact import EMPTY, EMPTY_CONTENT
from aweigh.oci.manifest import OCI_INDEX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.events import Listener
    from aweigh.image.lock import Lock
    from aweigh.oci import Artifact, Descriptor, Manifest, Reference

__all__ = ["Referrers", "attach", "attach_contents", "referrers_tag"]

_ATTEMPTS: Final = 5
# The image is there already; nobody should wait long for its description.
_SECONDS: Final = 30.0


class Referrers(Manifests, Protocol):
    """What the registry of an image offers to those who describe it."""

    async def push_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        source: bytes,
        /,
        *,
        name: str,
    ) -> bool:
        """Hold a blob, which events call by a name; return whether bytes moved."""
        ...

    async def put_referrer(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> bool:
        """Put a manifest with a subject; return whether the registry will list it."""
        ...


def referrers_tag(image: Reference, subject: Descriptor) -> Reference:
    """Name the index of what is attached to a manifest, where the API is missing.

    Distribution spec 1.1, "Referrers Tag Schema".
    """
    return image.with_tag(f"sha256-{subject.digest.hex}")


async def attach(registry: Referrers, image: Reference, artifact: Artifact) -> None:
    """Attach an artifact to an image of the same repository.

    Attaching it again changes nothing. Cancelling may leave it there without anybody
    being told of it.

    Args:
        registry: The registry of the image.
        image: The image's repository.
        artifact: What to attach.

    Raises:
        RegistryError: The registry refused, or other writers kept undoing our entry.
    """
    layer = replace(artifact.layer, annotations={})
    config = asyncio.ensure_future(
        registry.push_blob(image, EMPTY, EMPTY_CONTENT, name="empty config")
    )
    try:
        await registry.push_blob(image, layer, artifact.content, name=artifact.title)
        await config
    finally:
        config.cancel()
        await asyncio.gather(config, return_exceptions=True)
    entry = artifact.entry
    listed = await registry.put_referrer(
        image.with_digest(entry.digest), artifact.to_bytes(), entry.media_type
    )
    if not listed:
        await _list(registry, referrers_tag(image, artifact.subject), entry)


async def attach_contents(
    registry: Referrers,
    image: Reference,
    locks: Sequence[tuple[Descriptor, Lock]],
    listener: Listener,
) -> None:
    """Attach to each platform's manifest what it installs; a failure is a warning.

    Cancelling leaves complete documents, or none.

    Args:
        registry: The registry of the image.
        image: The image's repository.
        locks: The manifests, and the lock that each was made from.
        listener: Hears when it does not work.
    """
    async with asyncio.TaskGroup() as group:
        for subject, lock in locks:
            artifact = describe_contents(image, subject, lock)
            group.create_task(_try(registry, image, artifact, listener))


async def _try(
    registry: Referrers, image: Reference, artifact: Artifact, listener: Listener
) -> None:
    try:
        async with asyncio.timeout(_SECONDS):
            await attach(registry, image, artifact)
    except (AweighError, TimeoutError) as error:
        reason = str(error) or f"no answer within {_SECONDS:.0f} s"
        listener(
            Warned(
                message=f"{image.name} has no list of its contents: {reason}",
                hint="the image is complete; its lock is /opt/venv/pylock.toml",
            )
        )


async def _list(registry: Referrers, tag: Reference, entry: Descriptor) -> None:
    """Add an entry to the index under a tag, beside what others put there."""
    for left in reversed(range(_ATTEMPTS + 1)):
        index = _index(await registry.get_manifest(tag), tag)
        if any(one.digest == entry.digest for one in index.manifests):
            return
        if left:
            content = index.merge(entry).to_bytes()
            await registry.put_manifest(tag, content, OCI_INDEX)
    raise RegistryError(
        f"{tag} was overwritten by somebody else {_ATTEMPTS} times in a row",
        hint="let one process at a time attach to one image",
        registry=tag.registry,
    )


def _index(
    found: tuple[Manifest | Index, Descriptor, bytes] | None, tag: Reference
) -> Index:
    if found is None:
        return Index(manifests=())
    if not isinstance(found[0], Index):
        raise RegistryError(
            f"{tag} is no list of attached documents",
            hint="delete that tag if nobody needs it",
            registry=tag.registry,
        )
    return replace(found[0], media_type=OCI_INDEX)
