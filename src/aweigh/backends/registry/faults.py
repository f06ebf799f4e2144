"""What goes wrong with a registry, mapped to aweigh's errors in one place."""

from __future__ import annotations

import asyncio
import email.utils
import math
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp

from aweigh.errors import (
    AuthenticationError,
    RegistryError,
    RegistryUnavailableError,
)
from aweigh.oci.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aweigh.backends.registry.message import Answer, Request

__all__ = [
    "TRANSIENT",
    "login_hint",
    "not_a_registry",
    "patience",
    "refusal",
    "retry_after",
    "translated",
]

_REFUSED = frozenset({401, 403})
TRANSIENT = frozenset({408, 425, 429, 499, *range(500, 600)}) - {501, 505}

_UNAVAILABLE_HINT = "look at the registry or the network, then try again"
_REDACTED_FROM = 4


def refusal(
    request: Request, answer: Answer, *, identity: str, secrets: Iterable[str] = ()
) -> RegistryError:
    """Return the error for an answer that is not what was asked for.

    Args:
        request: What was asked.
        answer: What came back.
        identity: Who we were: ``as 'me' from ~/.docker/config.json``.
        secrets: Texts that must not appear, whatever the registry wrote.
    """
    code, message = answer.error
    told = " ".join(filter(None, (str(answer.status), code)))
    said = f": {_redacted(message, secrets)}" if message else ""
    facts = f"cannot {request.doing}: {request.registry}"
    if answer.status in TRANSIENT:
        return _unavailable(request, answer, f"{facts} answered {told}{said}")
    if answer.media_type == "text/html" and "WWW-Authenticate" not in answer.headers:
        return not_a_registry(request, answer)
    if answer.foreign:
        return RegistryError(
            f"{facts} sent us to its storage, which answered {told}",
            hint="look at the registry's storage, and at this machine's clock",
            registry=request.registry,
            status=answer.status,
        )
    if answer.status in _REFUSED:
        return AuthenticationError(
            f"{facts} refused us {identity} ({told}){said}",
            hint=login_hint(request.registry),
            registry=request.registry,
            status=answer.status,
            code=code,
        )
    return RegistryError(
        f"{facts} answered {told}{said}",
        hint=_HINTS.get(code or "", "check the name of the image and the registry"),
        registry=request.registry,
        status=answer.status,
        code=code,
    )


_HINTS = {
    "MANIFEST_BLOB_UNKNOWN": "push its layers and its config again, then the manifest",
    "UNSUPPORTED": "the registry does not allow this; ask who runs it",
    "NAME_UNKNOWN": "the registry wants the repository to be created first",
    "TOOMANYREQUESTS": _UNAVAILABLE_HINT,
}


def not_a_registry(request: Request, answer: Answer) -> RegistryError:
    """Return the error for an answer that no registry gives."""
    kind = answer.media_type or "no content type"
    return RegistryError(
        f"cannot {request.doing}: {request.registry} is not a registry"
        f" ({kind[:80]}, status {answer.status})",
        hint="check the registry's name, the proxy and whether the network wants a "
        "login page",
        registry=request.registry,
        status=answer.status,
    )


def login_hint(registry: str) -> str:
    """Say how to get other credentials."""
    return "docker login" if registry == DOCKER_HUB else f"docker login {registry}"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a ``Retry-After`` asks for: a number or an HTTP date."""
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def patience(error: BaseException) -> float | None:
    """Tell the retry helper how long to wait at least; None is not at all."""
    if isinstance(error, RegistryUnavailableError):
        return error.retry_after or 0.0
    return None


@contextmanager
def translated(request: Request, *, seconds: float) -> Iterator[None]:
    """Turn what the HTTP client raises into aweigh's errors.

    Args:
        request: What was being asked.
        seconds: The deadline, for the message about missing it.
    """
    host = request.registry
    start = f"cannot {request.doing}:"
    try:
        yield
    except TimeoutError as error:
        raise _silent(request, f"{start} no answer from {host} in {seconds:g} s") from (
            error
        )
    except aiohttp.ClientConnectorCertificateError as error:
        raise RegistryError(
            f"{start} the certificate of {host} is not trusted",
            hint="export SSL_CERT_FILE=/path/of/its/ca.pem; to do without: export "
            f"AWEIGH_INSECURE_REGISTRIES={host}",
            registry=host,
        ) from error
    except aiohttp.ClientResponseError as error:
        # Its repr holds the request's headers, the Authorization among them.
        raise RegistryError(
            f"{start} {host} does not speak proper HTTP ({type(error).__name__})",
            hint="check the registry's name and the proxy",
            registry=host,
        ) from None
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
        raise _silent(
            request, f"{start} no usable answer from {host} ({_reason(error)})"
        ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return type(error).__name__


def _silent(request: Request, message: str) -> RegistryUnavailableError:
    return RegistryUnavailableError(
        message, hint=_UNAVAILABLE_HINT, registry=request.registry
    )


def _unavailable(
    request: Request, answer: Answer, message: str
) -> RegistryUnavailableError:
    wait = retry_after(answer.headers)
    return RegistryUnavailableError(
        message,
        hint=_UNAVAILABLE_HINT
        if wait is None
        else f"the registry asks to wait {wait:.0f} s",
        registry=request.registry,
        status=answer.status,
        code=answer.error[0],
        retry_after=wait,
    )


def _redacted(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= _REDACTED_FROM:
            text = text.replace(secret, "***")
    return text
