"""GitHub Actions: outputs, a job summary, folded build logs, errors at the top.

The formats are those of "Workflow commands" in the documentation of GitHub Actions.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh import events
from aweigh.settings import environment

if TYPE_CHECKING:
    from aweigh.cli.tally import Tally
    from aweigh.cli.view import View
    from aweigh.errors import AweighError
    from aweigh.events import Event

__all__ = ["Folded", "annotate", "publish"]


class Folded:
    """Lines as ever, those of builds in a group that people open when they want."""

    def __init__(self, lines: View) -> None:
        """Fold nothing yet.

        Args:
            lines: Prints the lines themselves.
        """
        self._lines = lines
        self._building = 0
        self._is_open = False

    def __call__(self, event: Event, /) -> None:
        """Print an event; groups do not nest, so builds side by side share one."""
        match event:
            case events.BuildStarted(reference=reference, platform=platform):
                self._building += 1
                if not self._is_open:
                    self._is_open = True
                    _command("group", f"build {reference} for {platform}")
                self._lines(event)
            case events.BuildFinished():
                self._building -= 1
                self._lines(event)
                if self._building <= 0:
                    self._close()
            case events.ImageEnsured():
                self._close()
                self._lines(event)
            case _:
                self._lines(event)

    def end(self) -> None:
        """Leave nothing folded that follows."""
        self._close()
        self._lines.end()

    def _close(self) -> None:
        self._building = 0
        if self._is_open:
            self._is_open = False
            _command("endgroup", "")


def annotate(error: AweighError) -> None:
    """Show an error, with its hint, on the run's page."""
    _command("error", f"{error}\nhint: {error.hint}", title="aweigh")


def publish(tally: Tally, command: str) -> None:
    """Write what was made to the step's outputs and to the job's summary."""
    values = {
        "image": tally.image,
        "digest": tally.digest,
        "bundle": tally.bundle,
        "code-image": tally.code,
        "url": tally.url,
    }
    known = {name: value for name, value in values.items() if value}
    if not known:
        return
    _append("GITHUB_OUTPUT", "".join(map(_output, known, known.values())))
    rows = "".join(f"| {name} | `{value}` |\n" for name, value in known.items())
    _append(
        "GITHUB_STEP_SUMMARY",
        f"### aweigh {command}\n\n| | |\n|---|---|\n{rows}\n"
        f"{tally.line().removeprefix('done').strip()}\n\n",
    )


def _output(name: str, value: str) -> str:
    if "\n" not in value:
        return f"{name}={value}\n"
    # Nobody can guess it, so no value can end early and go on as another output.
    end = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def _append(variable: str, text: str) -> None:
    path = environment().get(variable)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        _command("warning", f"${variable} cannot be written: {reason}", title="aweigh")


def _command(name: str, message: str, title: str = "") -> None:
    """Write a workflow command; on stderr, since stdout is data."""
    properties = f" title={_escaped(title)}" if title else ""
    print(f"::{name}{properties}::{_escaped(message)}", file=sys.stderr, flush=True)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
