"""The client of all registries a session talks to (OCI distribution spec 1.1)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aweigh.backends.registry.auth import Authenticator
from aweigh.backends.registry.blobs import Blobs
from aweigh.backends.registry.challenge import Scope
from aweigh.backends.registry.manifests import Manifests
from aweigh.backends.registry.message import Deadline
from aweigh.backends.registry.transport import Transport
from aweigh.backends.registry.uploads import Uploads
from aweigh.backends.registry.wire import open_wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection
    from pathlib import Path

    from aweigh.backends.registry.auth import Standing
    from aweigh.events import Listener
    from aweigh.image.credential import CredentialSource
    from aweigh.oci import Descriptor, Digest, Index, Manifest, Reference

__all__ = ["RegistryClient", "open_registry"]

_READ_LIMIT = 8 << 20


class RegistryClient:
    """Reads and writes images of any registry; made by `open_registry`.

    Every method raises, besides what it says itself:

    - `AuthenticationError`: the registry wants other credentials (401, 403);
    - `RegistryUnavailableError`: no usable answer in time, 429 or 5xx, after up to
      three attempts within the deadline;
    - `RegistryError`: any other refusal, an answer no registry gives, content that
      has not the digest it should have.

    Cancelling any of them closes its connection. What a cancelled write leaves behind
    is an unfinished upload, which registries purge, or the complete content.
    """

    def __init__(
        self, transport: Transport, *, seconds: float, listener: Listener
    ) -> None:
        self._transport = transport
        self._seconds = seconds
        self._manifests = Manifests(transport)
        self._blobs = Blobs(transport, idle=seconds)
        self._uploads = Uploads(
            transport, self._blobs, seconds=seconds, listener=listener
        )

    async def head_manifest(
        self,
        reference: Reference,
        *,
        deadline: float | None = None,
        scope_push: bool = False,
    ) -> Descriptor | None:
        """Return what a reference points at, or None when the registry has no such.

        None is said only for a 404 that a registry wrote: a 404 of anything that
        stands in front of it is an error.

        Args:
            reference: What to look for.
            deadline: Seconds for everything, in place of the client's own.
            scope_push: Ask with the token a later push needs anyway.
        """
        scope = _scope(reference, push=scope_push)
        return await self._manifests.head(reference, self._deadline(deadline), scope)

    async def get_manifest(
        self, reference: Reference
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Return a document of at most 8 MiB, its descriptor and its exact bytes.

        Its digest is the reference's, where that has one, and the one the registry
        said. None as in `head_manifest`.

        Raises:
            InvalidManifestError: It is ambiguous or malformed.
        """
        return await self._manifests.get(
            reference, self._deadline(), _scope(reference, push=False)
        )

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str
    ) -> Descriptor:
        """Write a document under the reference's digest, else its tag.

        Everything it points at must be there: config, layers, manifests.
        """
        return await self._manifests.put(
            reference, content, media_type, self._deadline()
        )

    async def put_referrer(
        self, reference: Reference, content: bytes, media_type: str
    ) -> bool:
        """Write a manifest that has a subject, as `put_manifest` does.

        Returns:
            Whether the registry lists it among the subject's referrers; otherwise
            whoever writes it has to keep the list.
        """
        return await self._manifests.put_referrer(
            reference, content, media_type, self._deadline()
        )

    async def delete_manifest(self, reference: Reference) -> None:
        """Delete what a reference names; what is not there is deleted already.

        Most registries delete by digest only, and many do not at all.
        """
        await self._manifests.delete(reference, self._deadline())

    async def has_blob(self, reference: Reference, digest: Digest) -> bool:
        """Tell whether the reference's repository holds a blob."""
        return await self._blobs.has(
            reference, digest, self._deadline(), _scope(reference, push=False)
        )

    async def read_blob(
        self, reference: Reference, descriptor: Descriptor, *, limit: int = _READ_LIMIT
    ) -> bytes:
        """Return a small blob, verified by size and digest.

        Args:
            reference: Whose repository holds it.
            descriptor: The blob.
            limit: Bytes it may have at most.
        """
        return await self._blobs.read(
            reference, descriptor, self._deadline(), limit=limit
        )

    def stream_blob(
        self, reference: Reference, descriptor: Descriptor
    ) -> AsyncGenerator[bytes, None]:
        """Yield a blob in pieces of about 1 MiB; verified when it ends.

        Only one attempt is made. Do not use what came unless the iterator ends without
        an error. Close it (``contextlib.aclosing``) when leaving it early.
        """
        return self._blobs.stream(reference, descriptor, self._deadline())

    async def push_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        source: bytes | Path,
        *,
        mount_from: str | None = None,
        name: str = "",
    ) -> bool:
        """Make the reference's repository hold a blob; return whether bytes moved.

        Looks first, mounts next, sends last; a transfer that breaks starts over, up to
        three times. It may take as long as it needs while it makes progress.

        Args:
            reference: Whose repository shall hold it.
            descriptor: The blob.
            source: Its content, or the file that has it.
            mount_from: A repository of the same registry that may hold it already.
            name: What events call it; its digest by default.

        Raises:
            ChangedError: The file does not have the size of the descriptor.
        """
        return await self._uploads.push(
            reference,
            descriptor,
            source,
            mount_from=mount_from,
            name=name or str(descriptor.digest),
        )

    async def mount_blob(
        self, reference: Reference, descriptor: Descriptor, mount_from: str
    ) -> bool:
        """Make a repository hold a blob of a neighbour without moving bytes.

        Args:
            reference: Whose repository shall hold it.
            descriptor: The blob.
            mount_from: A repository of the same registry that holds it.

        Returns:
            Whether it is there now; False when this registry, or this blob, cannot be
            mounted and has to be pushed.
        """
        return await self._uploads.mount(reference, descriptor, mount_from)

    async def can_push(self, reference: Reference) -> bool:
        """Tell whether the registry would take a push, and leave nothing there.

        An upload is opened and cancelled: registries hide what one may not see, so
        nothing else tells "hidden" from "not there yet".
        """
        return await self._uploads.allowed(reference, self._deadline())

    def standing(self, registry: str) -> Standing:
        """Tell what we are to a registry since it last asked who we are."""
        return self._transport.auth.standing(registry)

    def _deadline(self, seconds: float | None = None) -> Deadline:
        return Deadline.after(self._seconds if seconds is None else seconds)


@asynccontextmanager
async def open_registry(
    credentials: CredentialSource,
    *,
    insecure_registries: Collection[str] = (),
    ca_file: Path | None = None,
    deadline: float = 30.0,
    listener: Listener,
) -> AsyncIterator[RegistryClient]:
    """Open a client for all registries; leaving closes its connections.

    Registries on loopback addresses are spoken to in plain HTTP unless they want TLS.
    Proxies come from the environment (``HTTPS_PROXY``, ``NO_PROXY``), netrc does not.

    Args:
        credentials: Who knows what to present; asked only after a 401.
        insecure_registries: ``host[:port]`` of those that may be spoken to without a
            valid certificate, or without TLS.
        ca_file: CA certificates (PEM) to trust besides the system's.
        deadline: Seconds for each request about an image, retries included; for blobs,
            seconds without progress.
        listener: Hears retries and the progress of pushes.

    Raises:
        SettingsError: ``ca_file`` is not usable.
    """
    async with open_wire(ca_file) as wire:
        transport = Transport(
            wire,
            Authenticator(credentials, wire),
            insecure=insecure_registries,
            listener=listener,
        )
        yield RegistryClient(transport, seconds=deadline, listener=listener)


def _scope(reference: Reference, *, push: bool) -> Scope:
    return (Scope.push if push else Scope.pull)(reference.repository)
