"""The engine's stream of a container's output and error output, taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from aweigh.backends.engine.text import LineSplitter

if TYPE_CHECKING:
    from typing import TypeAlias

    Stream: TypeAlias = Literal["stdout", "stderr"]

__all__ = ["FrameSplitter", "LineDemultiplexer", "WrittenLine"]

_HEADER = 8
_ERROR_OUTPUT = 2
# What the engine itself has to say about a log that it cannot give whole.
_COMPLAINT = 3
# What programs write for other programs, such as a JSON document, stays one line.
_LINE_LIMIT = 1024 * 1024


class WrittenLine(NamedTuple):
    """A line, and where the program wrote it to."""

    stream: Stream
    text: str


class FrameSplitter:
    """Joins the pieces of an answer and hands out its whole frames.

    Each frame is a header (stream, three zeros, length as four bytes, big-endian) and
    its content: "Stream format" of the Docker Engine API's attach endpoint.

    Attributes:
        complaints: What the engine said itself: a part of the log is missing.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self.complaints: list[str] = []

    def feed(self, piece: bytes) -> list[tuple[Stream, bytes]]:
        """Take a piece and return the frames it completes."""
        self._rest += piece
        frames: list[tuple[Stream, bytes]] = []
        start = 0
        while len(self._rest) >= start + _HEADER:
            size = int.from_bytes(self._rest[start + 4 : start + _HEADER], "big")
            end = start + _HEADER + size
            if len(self._rest) < end:
                break
            kind = self._rest[start]
            content = bytes(self._rest[start + _HEADER : end])
            if kind == _COMPLAINT:
                self.complaints.append(content.decode(errors="replace").strip())
            else:
                is_error = kind == _ERROR_OUTPUT
                frames.append(("stderr" if is_error else "stdout", content))
            start = end
        del self._rest[:start]
        return frames


class LineDemultiplexer:
    """Makes whole lines of each stream out of the pieces of an attached answer."""

    def __init__(self) -> None:
        self._frames = FrameSplitter()
        self._streams: dict[Stream, LineSplitter] = {}

    def feed(self, piece: bytes) -> list[WrittenLine]:
        """Take a piece and return the lines it completes, in the engine's order."""
        lines: list[WrittenLine] = []
        for stream, content in self._frames.feed(piece):
            splitter = self._streams.setdefault(stream, LineSplitter(_LINE_LIMIT))
            lines += [WrittenLine(stream, text) for text in splitter.feed(content)]
        return lines

    def finish(self) -> list[WrittenLine]:
        """Return what was written after the last line breaks."""
        return [
            WrittenLine(stream, text)
            for stream, splitter in self._streams.items()
            for text in splitter.finish()
        ]
