"""Events as structured log lines."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import structlog

from aweigh.events import Warned
from aweigh.events.build import BuildLogged

if TYPE_CHECKING:
    from aweigh.events import Event

__all__ = ["StructlogListener"]

_WORD = re.compile(r"(?<!^)(?=[A-Z])")
_PLAIN = (bool, int, float, str, type(None))


class StructlogListener:
    """Logs each event under its name, with its fields as the event's values.

    ``BuildLogged`` is logged at debug level, ``Warned`` at warning level, everything
    else at info level. structlog is not configured here: that is the application's.
    """

    def __init__(self, logger: Any = None) -> None:
        """Log to this bound logger, or to structlog's default one."""
        self._logger = structlog.get_logger("aweigh") if logger is None else logger

    def __call__(self, event: Event, /) -> None:
        """Log an event."""
        name = _WORD.sub("_", type(event).__name__).lower()
        values = {field.name: getattr(event, field.name) for field in fields(event)}
        plain = {
            key: value if isinstance(value, _PLAIN) else str(value)
            for key, value in values.items()
        }
        match event:
            case BuildLogged():
                self._logger.debug(name, **plain)
            case Warned():
                self._logger.warning(name, **plain)
            case _:
                self._logger.info(name, **plain)
