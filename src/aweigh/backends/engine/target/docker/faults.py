"""What an engine says when it does not start something, and what to do about it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.hints import PROGRAM_HINTS, Hints, hint_for
from aweigh.errors import EngineError, EngineUnavailableError, TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TARGET", "gone", "target_faults"]

TARGET = "docker"
_HINTS: Hints = (
    (
        re.compile(r"bind source path does not exist: ?(\S+)"),
        "the machine of the engine has no directory {0}: make it, or correct the mount",
    ),
    (
        re.compile(r"could not select device driver|nvidia-container-cli"),
        (
            "the engine cannot hand out GPUs: install the NVIDIA Container Toolkit on "
            "its machine, or ask for none"
        ),
    ),
    (
        re.compile(r"port is already allocated|address already in use"),
        (
            "another program has that port: publish another one (docker ps shows who "
            "has which)"
        ),
    ),
    *PROGRAM_HINTS,
    (
        re.compile(r"could not find an available.*address pool"),
        (
            "the engine has no addresses left for one more network: remove some "
            "(docker network prune)"
        ),
    ),
    (
        re.compile(r"no space left on device"),
        "the engine's disk is full: free some (docker system prune)",
    ),
    (
        re.compile(r"name \S+ is already in use|Conflict\. The container name"),
        (
            "something of this name is there already: remove it first (aweigh stop), "
            "or take another name"
        ),
    ),
    (
        re.compile(r"No such container|is marked for removal|removal of container"),
        "somebody removed it meanwhile (aweigh stop, docker rm): start it again",
    ),
)
_OTHER_HINT = "the engine's own log may say more (journalctl -u docker)"


@contextmanager
def target_faults(what: str) -> Iterator[None]:
    """Map what the engine answers while we do something to a container.

    Args:
        what: What failed then, such as ``cannot start train``.

    Raises:
        TargetError: The engine refused.
        EngineUnavailableError: It does not answer.
    """
    try:
        yield
    except EngineUnavailableError:
        raise
    except EngineError as exc:
        raise TargetError(
            f"{what}: {exc}",
            hint=hint_for(str(exc), _HINTS, _OTHER_HINT),
            target=TARGET,
        ) from exc


def gone(name: str) -> TargetError:
    """Return the error for something of ours that is not there."""
    return TargetError(
        f"there is nothing of ours named {name!r} in the engine",
        hint="`aweigh ps` lists what there is",
        target=TARGET,
    )
