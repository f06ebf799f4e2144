"""Draws live progress only once something takes its time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aweigh import events

if TYPE_CHECKING:
    from aweigh.cli.view import View
    from aweigh.events import Event

__all__ = ["Patient"]

# What takes its time, however it began; and what does when it is not over soon.
_LONG: Final = (events.BuildStarted, events.PullProgressed)
_PERHAPS_LONG: Final = (
    events.BuildLogged,
    events.BlobPushed,
    events.PushProgressed,
    events.UploadProgressed,
)
_SOON: Final = 0.3
# What somebody who waits should read at once.
_URGENT: Final = (events.Retried, events.Waited, events.Warned)


class Patient:
    """Draws once something takes its time: an answer from memory never loads rich."""

    def __init__(self, lines: View) -> None:
        self._lines = lines
        self._shown: View | None = None
        self._held: list[Event] = []
        self._began = time.monotonic()

    def __call__(self, event: Event, /) -> None:
        """Hold an event back until it is clear how it is to be shown."""
        if self._shown is not None:
            self._shown(event)
        elif isinstance(event, _URGENT):
            self._lines(event)
        else:
            self._held.append(event)
            if self._takes_long(event):
                self._release(_live_or(self._lines))

    def end(self) -> None:
        """Show what was held back; what follows is lines."""
        if self._shown is None:
            self._release(self._lines)
        elif self._shown is not self._lines:
            self._shown.end()

    def _takes_long(self, event: Event) -> bool:
        if isinstance(event, _LONG):
            return True
        late = time.monotonic() - self._began > _SOON
        return late and isinstance(event, _PERHAPS_LONG)

    def _release(self, shown: View) -> None:
        self._shown = shown
        for event in self._held:
            shown(event)
        self._held.clear()


def _live_or(lines: View) -> View:
    try:
        from aweigh.cli.live import Live
    except ModuleNotFoundError:  # the extra "cli" is not installed
        return lines
    return Live(lines)
