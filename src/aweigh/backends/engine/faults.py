"""The one place where faults of aiodocker and of the connection become our errors."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiodocker.exceptions import DockerContextError, DockerError

from aweigh.backends.engine.text import clean_line
from aweigh.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["discovery_faults", "request_faults", "silence"]

_HOST_HINT = (
    "name the engine as unix:///path/to/docker.sock, tcp://host:port or "
    "ssh://user@host, in the setting `engine` or in DOCKER_HOST"
)
_START_HINT = (
    "start it (systemctl start docker, or Docker Desktop), or install Docker Engine; "
    "an engine elsewhere is named by the setting `engine` or by DOCKER_HOST"
)
_GROUP_HINT = (
    "add yourself to the engine's group (sudo usermod -aG docker $USER, then log in "
    "again), or use a rootless engine"
)
_BROKEN_HINT = "look at the engine's own log (journalctl -u docker) and try again"
# What aiodocker reports when there was no HTTP answer at all.
_NO_ANSWER = 900
_FIRST_GATEWAY_STATUS = 502
_QUOTED = 300


@contextmanager
def discovery_faults() -> Iterator[None]:
    """Map what aiodocker raises while it looks for an engine.

    Raises:
        EngineUnavailableError: There is none, or its address is unusable.
    """
    try:
        yield
    except AssertionError as exc:
        # aiodocker asserts that it has an address where it should say it has none.
        raise EngineUnavailableError(
            "no container engine was found on this machine", hint=_START_HINT
        ) from exc
    except DockerContextError as exc:
        raise EngineUnavailableError(
            f"the Docker context cannot be used: {exc}",
            hint="look at `docker context ls`, or choose another with `docker context "
            "use NAME`",
        ) from exc
    except (ValueError, ImportError, OSError) as exc:
        raise EngineUnavailableError(
            f"the engine's address cannot be used: {exc}", hint=_HOST_HINT
        ) from exc


@contextmanager
def request_faults(host: str) -> Iterator[None]:
    """Map what a request to the engine at ``host`` can raise.

    Raises:
        EngineUnavailableError: It gave no answer, or only half of one.
        EngineError: It refused.
    """
    try:
        yield
    except DockerError as exc:
        raise _refused(host, exc) from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise EngineUnavailableError(
            f"the connection to the engine at {host} broke off: {_reason(exc)}",
            hint=_BROKEN_HINT,
        ) from exc
    except (ValueError, KeyError, TypeError) as exc:
        # A proxy, or something else that listens there: not the engine's JSON.
        raise EngineError(
            f"what answers at {host} does not speak the Docker Engine API",
            hint=_HOST_HINT,
        ) from exc


def silence(host: str, doing: str, seconds: float) -> EngineUnavailableError:
    """Return the error for an engine that is connected and says nothing."""
    return EngineUnavailableError(
        f"the engine at {host} has been silent for {seconds:g} s ({doing})",
        hint="it hangs or is overloaded (look at journalctl -u docker), or a step "
        "works that long without writing a line: let it write some",
    )


def _refused(host: str, fault: DockerError) -> EngineError:
    if fault.status == _NO_ANSWER:
        return _unreachable(host, fault)
    said = clean_line(" ".join(fault.message.split()))[:_QUOTED]
    message = f"the engine at {host} answered {fault.status}: {said or 'nothing'}"
    if fault.status >= _FIRST_GATEWAY_STATUS:
        return EngineUnavailableError(message, hint=_BROKEN_HINT)
    return EngineError(message, hint=_BROKEN_HINT, status=fault.status)


def _unreachable(host: str, fault: DockerError) -> EngineUnavailableError:
    cause = fault.__context__
    code = getattr(getattr(cause, "os_error", cause), "errno", None)
    if code in (errno.EACCES, errno.EPERM):
        return EngineUnavailableError(
            f"no permission to use the engine at {host}", hint=_GROUP_HINT
        )
    if code in (errno.ENOENT, errno.ECONNREFUSED):
        return EngineUnavailableError(
            f"no engine is running at {host}", hint=_START_HINT
        )
    return EngineUnavailableError(
        f"the engine at {host} cannot be reached: {_reason(cause or fault)}",
        hint=f"if it is not running, {_START_HINT}",
    )


def _reason(fault: BaseException) -> str:
    return clean_line(str(fault)) or type(fault).__name__
