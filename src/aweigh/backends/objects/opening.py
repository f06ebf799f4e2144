"""Opens the store that a URL names."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from obstore.exceptions import BaseError
from obstore.store import MemoryStore, from_url

from aweigh.backends.objects.deadlines import Deadlines
from aweigh.backends.objects.directory import DirectoryStore
from aweigh.backends.objects.place import Remote
from aweigh.backends.objects.store import ObjectStore
from aweigh.bundle.store import Scheme, StoreUrl
from aweigh.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Handle

    from aweigh.bundle.store import Store
    from aweigh.events import Listener

__all__ = ["open_store"]

_CONNECT: Final = timedelta(seconds=5)
# Whole requests are bounded by our own deadlines, which know what is a request and
# what a long download; this only keeps obstore's default of 30 s from cutting one off.
_UNBOUNDED: Final = timedelta(days=1)

# A memory:// store is shared by name within the process, as a directory is by path.
_memory: dict[str, MemoryStore] = {}


@asynccontextmanager
async def open_store(
    url: str, *, listener: Listener, deadlines: Deadlines | None = None
) -> AsyncIterator[Store]:
    """Open a store for as long as the block lasts; no request is made yet.

    Credentials, region and endpoint come from where obstore looks for them: the
    environment (``AWS_ACCESS_KEY_ID``, ``AWS_REGION``, ``AWS_ENDPOINT_URL`` and so
    on) and the machine's own identity.

    Args:
        url: ``file:///directory``, ``memory://name``, ``s3://bucket/prefix``,
            ``gs://bucket/prefix`` or ``az://container/prefix``.
        listener: Hears of retries.
        deadlines: How long things may take.

    Raises:
        SettingsError: The URL is none of these, or the environment's configuration of
            the store is unusable.
    """
    parsed = StoreUrl.parse(url)
    limits = deadlines or Deadlines()
    match parsed.scheme:
        case Scheme.FILE:
            yield DirectoryStore(parsed, deadlines=limits)
        case Scheme.MEMORY:
            handle = _memory.setdefault(parsed.location, MemoryStore())
            yield ObjectStore(
                parsed,
                Remote(handle=handle, parts=handle),
                listener=listener,
                deadlines=limits,
            )
        case Scheme.S3 | Scheme.GS | Scheme.AZ:
            # Parts of one upload are retried by obstore: only it still has them.
            place = Remote(
                handle=_remote(parsed, _UNBOUNDED, retries=0),
                parts=_remote(parsed, timedelta(seconds=limits.transfer), retries=2),
            )
            yield ObjectStore(parsed, place, listener=listener, deadlines=limits)


def _remote(url: StoreUrl, timeout: timedelta, *, retries: int) -> Handle:
    # Options given here replace those that obstore reads from the environment. Plain
    # HTTP is only spoken to an endpoint that the environment names with http://.
    client: ClientConfig = {
        "timeout": timeout,
        "connect_timeout": _CONNECT,
        "allow_http": True,
    }
    retry: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timeout * (retries + 1),
    }
    try:
        return from_url(str(url), client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        # The text may quote the configuration, keys included.
        raise SettingsError(
            f"{url} cannot be opened: its configuration is unusable "
            f"({type(error).__name__})",
            hint="check the AWS_*, GOOGLE_* or AZURE_* environment variables",
        ) from None
