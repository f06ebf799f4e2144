"""The stages of a flow, drawn over and over on a terminal (rich)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live as RichLive
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from aweigh.cli.progress import line
from aweigh.cli.stages import Stages

if TYPE_CHECKING:
    from aweigh.cli.view import View
    from aweigh.events import Event

__all__ = ["Live"]


class Live:
    """Draws while nothing else is written; afterwards events are lines."""

    def __init__(self, lines: View, console: Console | None = None) -> None:
        """Draw nothing yet.

        Args:
            lines: Takes over when the drawing has ended.
            console: Where to draw, else stderr.
        """
        self._lines = lines
        self._stages = Stages()
        self._spinner = Spinner("dots")
        self._console = console or Console(stderr=True)
        self._ended = False
        self._drawing = RichLive(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=12,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __call__(self, event: Event, /) -> None:
        """Take note of an event."""
        if self._ended:
            self._lines(event)
        elif self._stages.take(event):
            self._drawing.start()
        elif text := line(event):
            self._console.print(Text(text))

    def end(self) -> None:
        """Leave the last state on the screen."""
        if not self._ended:
            self._ended = True
            if self._drawing.is_started:
                self._drawing.stop()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(style="bold")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for stage in self._stages.begun:
            waits = not stage.done and not self._ended
            mark = self._spinner if waits else Text("✓" if stage.done else "·")
            table.add_row(mark, stage.name, Text(stage.text))
        return table
