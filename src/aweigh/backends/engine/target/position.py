"""How far a log has been read, so that reading it again repeats nothing."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LINE_LIMIT", "Position", "is_new"]

# A longer line is handed on in pieces: nobody may fill our memory.
LINE_LIMIT = 1024 * 1024


@dataclass(slots=True)
class Position:
    """How far one stream of a log has been read.

    Attributes:
        stamp: The time of the last frame, as the engine wrote it.
        frames: How many frames of that time there were.
    """

    stamp: str = ""
    frames: int = 0

    def pass_frame(self, stamp: str) -> None:
        """Take note of a frame that was read."""
        if self.stamp == stamp:
            self.frames += 1
        else:
            self.stamp, self.frames = stamp, 1


def is_new(repeated: Position | None, stamp: str) -> bool:
    """Tell whether a frame was not read before; the repeated ones are counted down."""
    if repeated is None or stamp > repeated.stamp:
        return True
    if stamp == repeated.stamp:
        repeated.frames -= 1
        return repeated.frames < 0
    return False
