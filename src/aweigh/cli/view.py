"""How progress is shown: live on a terminal, in lines elsewhere, and to whom else."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from aweigh.cli.progress import progress
from aweigh.cli.tally import Tally
from aweigh.settings import environment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from aweigh.cli.eventlog import EventLog
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


class _Everybody:
    """Shows events, counts them, and writes them down."""

    def __init__(self, shown: View, tally: Tally | None, log: EventLog | None) -> None:
        self._shown = shown
        self._tally = tally
        self._log = log

    def __call__(self, event: Event, /) -> None:
        """Tell all of them."""
        if self._log is not None:
            self._log(event)
        if self._tally is not None:
            self._tally(event)
        self._shown(event)

    def end(self) -> None:
        """Be out of the way."""
        self._shown.end()


@contextmanager
def view(arguments: argparse.Namespace) -> Iterator[View]:
    """Show progress as the options, the terminal and what is installed allow.

    What ends well ends with a line that sums it up and, in GitHub Actions, with
    outputs of the step.

    Raises:
        SettingsError: The file for events cannot be written.
    """
    ours = environment()
    in_actions = ours.get("GITHUB_ACTIONS") == "true"
    lines: View = _Lines(progress(arguments))
    if not arguments.quiet:
        if in_actions:
            from aweigh.cli.github import Folded

            lines = Folded(lines)
        elif _can_be_live():
            from aweigh.cli.patient import Patient

            lines = Patient(lines)
    tally = None if arguments.quiet and not in_actions else Tally()
    with _log(arguments) as log:
        seen = _Everybody(lines, tally, log)
        try:
            yield seen
        finally:
            seen.end()
    if tally is None:
        return
    if in_actions:
        from aweigh.cli.github import publish

        publish(tally, getattr(arguments, "called", ""))
    if not arguments.quiet and (text := tally.line()):
        print(text, file=sys.stderr, flush=True)


def _log(arguments: argparse.Namespace) -> AbstractContextManager[EventLog | None]:
    path: str | None = getattr(arguments, "events", None)
    if path is None:
        return nullcontext()
    from aweigh.cli.eventlog import event_log

    return event_log(path)


def _can_be_live() -> bool:
    """Whether something is there that can move a cursor."""
    ours = environment()
    return sys.stderr.isatty() and not ours.get("CI") and ours.get("TERM") != "dumb"
