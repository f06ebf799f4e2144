"""Where bundles are kept: the protocol of a store and the URL that names one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol, runtime_checkable
from urllib.parse import unquote_to_bytes, urlsplit

from aweigh.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from typing import Self

__all__ = ["Held", "PromptStore", "Scheme", "Store", "StoreUrl"]

_LOCATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~!$&'()*+,;=:/-]*")
_HINT = (
    "write it as file:///absolute/directory, memory://name, s3://bucket/prefix, "
    "gs://bucket/prefix or az://container/prefix"
)


class Scheme(StrEnum):
    """The kinds of stores there are."""

    FILE = "file"
    MEMORY = "memory"
    S3 = "s3"
    GS = "gs"
    AZ = "az"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A store's URL in its one canonical spelling, free of secrets.

    Attributes:
        scheme: What kind of store it is.
        location: The absolute directory of a file store, else what follows ``://``.
    """

    scheme: Scheme
    location: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a store's URL; a trailing slash makes no difference.

        Raises:
            SettingsError: It is no such URL, or it carries a secret. The message
                does not repeat the text: it may be the secret.
        """
        scheme, separator, location = text.partition("://")
        if not separator or scheme not in set(Scheme):
            raise SettingsError(
                f"a store URL cannot begin with {scheme[:20]!r}"
                if separator
                else "the store is not named by a URL",
                hint=_HINT,
            )
        authority = location.partition("/")[0]
        if "@" in authority or "?" in location or "#" in location:
            raise SettingsError(
                f"the {scheme}:// store URL holds a user name, a query or a fragment",
                hint="leave credentials to the environment, such as AWS_ACCESS_KEY_ID",
            )
        kind = Scheme(scheme)
        if kind is Scheme.FILE:
            return cls(kind, _directory(text))
        location = location.rstrip("/")
        parts = location.split("/")
        if not _LOCATION.fullmatch(location) or {"", ".", ".."} & set(parts):
            raise SettingsError(
                f"the {scheme}:// store URL names no bucket or has an odd prefix",
                hint=_HINT,
            )
        return cls(kind, location)

    def __str__(self) -> str:
        if self.scheme is Scheme.FILE:
            return PurePosixPath(self.location).as_uri()
        return f"{self.scheme}://{self.location}"


def _directory(text: str) -> str:
    parsed = urlsplit(text)
    path = unquote_to_bytes(parsed.path).decode(errors="surrogateescape")
    pure = PurePosixPath(path)
    if parsed.netloc or not pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise SettingsError(
            "the file:// store URL names no absolute directory of this machine",
            hint="write three slashes: file:///srv/bundles",
        )
    # POSIX lets exactly two leading slashes mean something else; here they do not.
    return "/" + str(pure).lstrip("/")


@dataclass(frozen=True, slots=True)
class Held:
    """An object that a store has.

    Attributes:
        size: In bytes.
        modified_at: When it was put, in seconds since the epoch, by the store's clock.
    """

    size: int
    modified_at: float


class Store(Protocol):
    """Objects with names; equal names mean equal content, so nothing ever changes.

    An object has at least one byte.

    Every method ends within a deadline of its own. All raise
    `aweigh.errors.StoreUnavailableError` where asking later may help and another
    `aweigh.errors.StoreError` where it will not.
    """

    @property
    def url(self) -> str:
        """The store's canonical URL; it holds no secret."""
        ...

    async def head(self, name: str, /) -> Held | None:
        """Look at an object; None only when it is truly not there."""
        ...

    def get(self, name: str, /, *, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Iterate over an object's bytes; close the generator when done early.

        Args:
            name: Its name below the store's URL.
            start: How many bytes to leave out; fewer than it has.

        Raises:
            BundleNotFoundError: The object is not there.
        """
        ...

    async def put(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> bool:
        """Create an object, which is visible to nobody until it is whole.

        Args:
            name: Its name below the store's URL.
            chunks: Its bytes. An error of the iterator is passed on, and nothing is
                left behind.
            size: Bytes it may have at most; None when nobody knows.

        Returns:
            False when the object existed already; it is then left as it was.

        Cancelling leaves no object.
        """
        ...

    async def renew(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> None:
        """Put an object whether it is there or not: its age begins anew.

        Whoever reads it meanwhile gets the old bytes or the new ones, never a mixture.

        Args:
            name: Its name below the store's URL.
            chunks: Its bytes, as for `put`.
            size: Bytes it may have at most; None when nobody knows.

        Cancelling leaves what was there, or the new object.
        """
        ...


@runtime_checkable
class PromptStore(Store, Protocol):
    """A store that needs no network: putting something small there takes no waiting."""

    def put_now(self, name: str, body: bytes, /) -> bool:
        """Create a small object as `put` does; blocking.

        Raises:
            StoreError: It cannot be written.
        """
        ...
