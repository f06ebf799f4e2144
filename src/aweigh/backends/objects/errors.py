"""Says in our words what obstore's errors mean."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final

from aweigh.bundle.store import Scheme
from aweigh.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from aweigh.bundle.store import StoreUrl

__all__ = ["no_answer", "status_of", "translate"]

_STATUS: Final = re.compile(r"status(?: code)?: (\d{3})\b")
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_ERRNO: Final = re.compile(r"\(os error (\d+)\)")
# Where obstore asks for credentials when the environment holds none.
_METADATA: Final = ("169.254.", "metadata.google.internal", "fd00:ec2::")
_PASSING: Final = frozenset({408, 409, 425, 429})
_DENIED: Final = frozenset({401, 403})
_LOGIN: Final = {
    Scheme.S3: "export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=..., of somebody "
    "who may read and write in this bucket",
    Scheme.GS: "export GOOGLE_APPLICATION_CREDENTIALS=/path/of/key.json, of an account "
    "that may read and write in this bucket",
    Scheme.AZ: "export AZURE_STORAGE_ACCOUNT_NAME=... AZURE_STORAGE_ACCOUNT_KEY=..., "
    "which may read and write in this container",
}
_DISK: Final = {
    errno.ENOSPC: "make room, or choose another store directory",
    errno.EDQUOT: "make room, or choose another store directory",
    errno.EROFS: "choose a store directory on a file system that can be written",
    errno.EACCES: "make it yours, or choose another store directory",
    errno.EPERM: "make it yours, or choose another store directory",
}


def translate(error: Exception, url: StoreUrl, what: str) -> StoreError:
    """Turn an error of obstore's into one of ours.

    obstore's text quotes whole requests and answers, which may hold a signed URL or a
    token, so of all its text only numbers and S3's error codes are passed on. For the
    same reason raise the result ``from None``.

    Args:
        error: What obstore raised.
        url: The store.
        what: What was asked of it: ``put bundles/.../manifest``.
    """
    text = str(error)
    if url.scheme is Scheme.FILE:
        return _disk_error(error, url, what)
    if any(host in text for host in _METADATA):
        return StoreError(
            f"cannot {what} in {url}: there are no credentials for it",
            hint=_LOGIN.get(url.scheme, "give it credentials in the environment"),
        )
    status = status_of(error)
    named = _CODE.search(text)
    code = named[1] if named else ""
    if isinstance(error, FileNotFoundError) or code == "NoSuchBucket":
        return StoreError(
            f"cannot {what}: {url} does not exist",
            hint="create the bucket, or correct the store setting",
        )
    if status in _DENIED:
        return StoreError(
            f"{url} denied to {what} ({status} {code})".replace(" )", ")"),
            hint=_LOGIN.get(url.scheme, "check the credentials"),
        )
    if status is None or status >= 500 or status in _PASSING:  # noqa: PLR2004
        answer = f"answered {status} {code}".rstrip() if status else "did not answer"
        return StoreUnavailableError(
            f"cannot {what}: {url} {answer}",
            hint="look whether the store is up and reachable from here, then try again",
        )
    return StoreError(
        f"cannot {what}: {url} answered {status} {code}".rstrip(),
        hint="check the store setting, its region and its endpoint",
    )


def _disk_error(error: Exception, url: StoreUrl, what: str) -> StoreError:
    found = _ERRNO.search(str(error))
    number = getattr(error, "errno", None) or (int(found[1]) if found else errno.EIO)
    return StoreError(
        f"cannot {what} in {url.location}: {os.strerror(number)}",
        hint=_DISK.get(number, "look at this directory, or choose another store"),
    )


def no_answer(url: StoreUrl, what: str, seconds: float) -> StoreUnavailableError:
    """Say that a deadline passed."""
    return StoreUnavailableError(
        f"cannot {what}: no answer from {url} in {seconds:g} s",
        hint="look whether the store is up and reachable from here, then try again",
    )


def status_of(error: Exception) -> int | None:
    """Find the HTTP status in obstore's text."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None
