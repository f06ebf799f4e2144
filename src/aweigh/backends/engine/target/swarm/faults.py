"""What a swarm says when it does not do something, and what to do about it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.hints import PROGRAM_HINTS, Hints, hint_for
from aweigh.errors import (
    EngineError,
    EngineUnavailableError,
    ImageGoneError,
    TargetError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "TARGET",
    "failure",
    "gone",
    "is_image_gone",
    "not_startable",
    "swarm_faults",
    "took_another_turn",
]

TARGET = "swarm"
_ANOTHER_TURN = re.compile(
    r"out of sequence|name conflicts with an existing object|network \S+ not found"
    r"|secret not found"
)
_GONE = re.compile(
    r"no such image|manifest unknown|manifest for \S+ not found|pull access denied"
    r"|repository \S+ not found|not known to registry",
    re.IGNORECASE,
)
_HINTS: Hints = (
    (
        re.compile(r"not (?:a|part of a) swarm|swarm manager|has no leader"),
        (
            "make the engine a manager (docker swarm init, docker node promote), or "
            "name the engine of one in the setting `engine`"
        ),
    ),
    (
        re.compile(r"port '?\d+'? is already in use"),
        "another service publishes that port: remove it, or publish another one",
    ),
    (
        re.compile(r"bind source path does not exist: ?(\S+)"),
        "that node has no directory {0}: make it on every node, or mount a volume",
    ),
    *PROGRAM_HINTS,
    (
        re.compile(r"insufficient resources|no suitable node"),
        (
            "ask for less (resources), remove what runs, or add a node (docker node ls "
            "shows which ones are up)"
        ),
    ),
    (
        re.compile(r"secret data must be|secret name"),
        (
            "a secret of a swarm has a name of letters, digits, dots, dashes and "
            "underscores, and between 1 byte and 500 KB"
        ),
    ),
)
_OTHER_HINT = "docker service ps --no-trunc NAME says more, and so do the nodes' logs"
_GONE_HINT = (
    "it was deleted after we saw it, or the node cannot reach its registry or log in "
    "there (its engine's log says which): ensure it again (`aweigh ensure`)"
)


@contextmanager
def swarm_faults(what: str) -> Iterator[None]:
    """Map what a manager answers while we do something.

    Args:
        what: What failed then, such as ``api cannot be deployed``.

    Raises:
        TargetError: The manager refused, or is none.
        EngineUnavailableError: It does not answer.
    """
    try:
        yield
    except EngineError as exc:
        said = str(exc)
        if isinstance(exc, EngineUnavailableError) and not _HINTS[0][0].search(said):
            raise
        raise TargetError(
            f"{what}: {said}", hint=hint_for(said, _HINTS, _OTHER_HINT), target=TARGET
        ) from exc


def took_another_turn(exc: EngineError) -> bool:
    """Tell whether somebody else changed the same thing at the same moment.

    A manager lists a network for some seconds after it was removed.
    """
    said = str(exc)
    return _ANOTHER_TURN.search(said) is not None


def is_image_gone(said: str) -> bool:
    """Tell whether a task's error means that its node could not get the image."""
    return bool(_GONE.search(said))


def failure(what: str, said: str, node: str) -> TargetError:
    """Return the error for a task that a node could not start or lost.

    Args:
        what: The task, as the user knows it.
        said: The node's message.
        node: Its host name; empty when it never reached one.
    """
    where = f" on node {node}" if node else ""
    if is_image_gone(said):
        return ImageGoneError(
            f"{what} has no image{where}: {said}", hint=_GONE_HINT, target=TARGET
        )
    return TargetError(
        f"{what} failed{where}: {said}",
        hint=hint_for(said, _HINTS, _OTHER_HINT),
        target=TARGET,
    )


def not_startable(reason: str, *, hint: str) -> TargetError:
    """Return the error for something this target cannot do at all."""
    return TargetError(reason, hint=hint, target=TARGET)


def gone(name: str) -> TargetError:
    """Return the error for something of ours that is not there."""
    return TargetError(
        f"there is nothing of ours named {name!r} in the swarm",
        hint="`aweigh ps` lists what there is",
        target=TARGET,
    )
