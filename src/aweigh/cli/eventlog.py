"""`--events FILE`: every event as a line of JSON, for programs that watch a command."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.errors import AweighError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from aweigh.events import Event

__all__ = ["EventLog", "event_log"]

_PLAIN = (bool, int, float, str, type(None))


class EventLog:
    """Writes events as they come; a file that cannot be written ends nothing."""

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream that somebody else closes."""
        self._stream = stream
        self._is_broken = False

    def __call__(self, event: Event, /) -> None:
        """Write an event: its name, when it was heard (Unix time), its fields."""
        values = {field.name: getattr(event, field.name) for field in fields(event)}
        self._write(type(event).__name__, values)

    def end(self, error: BaseException | None) -> None:
        """Write the last line: how the command ended."""
        values: dict[str, object] = {"ok": error is None}
        match error:
            case None:
                pass
            case AweighError():
                values |= {"error": str(error), "hint": error.hint}
            case _:
                values |= {"error": type(error).__name__}
        self._write("Ended", values)

    def _write(self, name: str, values: dict[str, object]) -> None:
        if self._is_broken:
            return
        plain = {
            key: value if isinstance(value, _PLAIN) else str(value)
            for key, value in values.items()
        }
        try:
            document = {"event": name, "time": time.time(), **plain}
            self._stream.write(json.dumps(document) + "\n")
            self._stream.flush()
        except OSError as exc:
            self._is_broken = True
            reason = exc.strerror or exc
            print(f"warning no more events are written: {reason}", file=sys.stderr)


@contextmanager
def event_log(path: str | None) -> Iterator[EventLog | None]:
    """Open the file that `--events` names; None for none.

    What was in it is replaced. It may be a FIFO or ``/dev/fd/3``.

    Raises:
        SettingsError: It cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        stream = Path(path).open("w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - closed below, where a full disk is no error
    except OSError as exc:
        raise SettingsError(
            f"--events {path}: {exc.strerror or exc}",
            hint="name a file that can be written, in a directory that exists",
        ) from exc
    log = EventLog(stream)
    try:
        yield log
    except BaseException as error:
        log.end(error)
        raise
    else:
        log.end(None)
    finally:
        # A full disk has been told already, by the line that did not fit.
        with suppress(OSError):
            stream.close()
