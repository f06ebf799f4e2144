"""How a flow's progress is shown: live on a terminal, in lines everywhere else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from aweigh.cli.progress import progress
from aweigh.settings import environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from aweigh.events import Event, Listener

__all__ = ["View", "view"]


class View(Protocol):
    """Hears events and shows them."""

    def __call__(self, event: Event, /) -> None:
        """Take note of an event."""
        ...

    def end(self) -> None:
        """Be out of the way: what follows is not ours. May be called often."""
        ...


class _Lines:
    """A line for each change."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def __call__(self, event: Event, /) -> None:
        """Print its line."""
        self._listener(event)

    def end(self) -> None:
        """Lines are never in the way."""


@contextmanager
def view(arguments: argparse.Namespace) -> Iterator[View]:
    """Show progress as the options, the terminal and what is installed allow."""
    lines = _Lines(progress(arguments))
    if arguments.quiet or not _can_be_live():
        yield lines
        return
    try:
        from aweigh.cli.live import Live
    except ModuleNotFoundError:  # the extra "cli" is not installed
        yield lines
        return
    live = Live(lines)
    try:
        yield live
    finally:
        live.end()


def _can_be_live() -> bool:
    """Whether something is there that can move a cursor."""
    ours = environment()
    return sys.stderr.isatty() and not ours.get("CI") and ours.get("TERM") != "dumb"
