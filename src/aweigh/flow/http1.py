"""HTTP/1 as far as a forwarder has to know it: where a message ends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from typing import TypeAlias

    Framing: TypeAlias = int | Literal["chunked", "until-close"]

__all__ = ["CutShortError", "Head", "Source", "copy_body"]

_PIECE: Final = 1 << 16
_LONGEST_HEAD: Final = 1 << 16
_END: Final = b"\r\n\r\n"
_REQUEST: Final = re.compile(rb"([!#-'*+\-.^-z|~0-9A-Z]+) \S+ HTTP/1\.([01])\r\n")
_RESPONSE: Final = re.compile(rb"HTTP/1\.([01]) ([0-9]{3})[ \r]")
_CHUNK: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_SWITCHING, _NO_CONTENT, _NOT_MODIFIED, _OK = 101, 204, 304, 200


class CutShortError(Exception):
    """A peer went away, or went astray, in the middle of a message."""


class Source:
    """What one peer sends, with what was read of it and is not used yet."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._held = bytearray()

    @property
    def held(self) -> int:
        """How many bytes wait here."""
        return len(self._held)

    async def more(self) -> bool:
        """Wait for bytes and hold them; False at the end. Cancelling loses none."""
        piece = await self._reader.read(_PIECE)
        self._held += piece
        return bool(piece)

    async def take(self, most: int = _PIECE) -> bytes:
        """Return the next bytes; none at the end."""
        if not self._held and not await self.more():
            return b""
        piece = bytes(self._held[:most])
        del self._held[: len(piece)]
        return piece

    async def head(self) -> bytes:
        """Return what there is until the end of a head, or as much as a head can be.

        Whatever follows stays. Empty at the end of everything.
        """
        searched = 0
        while (end := self._held.find(_END, searched)) < 0:
            searched = max(0, len(self._held) - len(_END) + 1)
            if self._is_no_head() or not await self.more():
                return await self.take(len(self._held)) if self._held else b""
        return await self.take(end + len(_END))

    def _is_no_head(self) -> bool:
        """Whether waiting for the end of the head would be in vain."""
        first, newline, _ = bytes(self._held[:_LONGEST_HEAD]).partition(b"\r\n")
        if newline:
            line = first + newline
            odd = not (_REQUEST.fullmatch(line) or _RESPONSE.match(line))
        else:
            # A terminal may be typing; what has a control character is no HTTP.
            odd = any(byte < ord(" ") for byte in first.rstrip(b"\r"))
        return odd or len(self._held) >= _LONGEST_HEAD

    async def line(self) -> bytes:
        """Return the next line with its end.

        Raises:
            CutShortError: There is none.
        """
        while (end := self._held.find(b"\n")) < 0:
            if len(self._held) >= _LONGEST_HEAD or not await self.more():
                raise CutShortError
        return await self.take(end + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a request or a response.

    Attributes:
        raw: As it came, to be sent on unchanged.
        minor: The version after ``HTTP/1.``.
        method: Of a request; empty for a response.
        status: Of a response; 0 for a request.
    """

    raw: bytes
    minor: int
    method: str = ""
    status: int = 0

    @classmethod
    def request(cls, raw: bytes) -> Head | None:
        """Read the head of a request; None if it is something else."""
        line = _REQUEST.match(raw)
        if line is None or not raw.endswith(_END):
            return None
        return cls(raw=raw, minor=int(line[2]), method=line[1].decode("ascii"))

    @classmethod
    def response(cls, raw: bytes) -> Head | None:
        """Read the head of a response; None if it is something else."""
        line = _RESPONSE.match(raw)
        if line is None or not raw.endswith(_END):
            return None
        return cls(raw=raw, minor=int(line[1]), status=int(line[2]))

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the comma-separated values of a field, in lower case."""
        values = [
            value
            for field, _, value in (
                line.partition(b":") for line in self.raw.lower().split(b"\r\n")[1:]
            )
            if field == name
        ]
        return [token.strip() for value in values for token in value.split(b",")]

    @property
    def is_interim(self) -> bool:
        """Whether another head follows for the same request."""
        return 100 <= self.status < _OK and self.status != _SWITCHING  # noqa: PLR2004

    @property
    def persists(self) -> bool:
        """Whether its sender means to keep the connection (RFC 9112, 9.3)."""
        told = self.tokens(b"connection")
        return b"close" not in told and (self.minor == 1 or b"keep-alive" in told)

    def switches(self, request: Head) -> bool:
        """Whether the connection is something else from here on."""
        connected = request.method == "CONNECT" and self.status // 100 == 2  # noqa: PLR2004
        return self.status == _SWITCHING or connected

    def framing(self, request: Head | None = None) -> Framing:
        """Say how long the body is (RFC 9112, 6.3).

        Args:
            request: What a response answers.
        """
        if request is not None and (
            request.method == "HEAD" or self.status in {_NO_CONTENT, _NOT_MODIFIED}
        ):
            return 0
        encodings = self.tokens(b"transfer-encoding")
        if encodings:
            return "chunked" if encodings[-1] == b"chunked" else "until-close"
        lengths = set(self.tokens(b"content-length"))
        if len(lengths) == 1 and (length := lengths.pop()).isdigit():
            return int(length)
        return 0 if request is None and not lengths else "until-close"


async def copy_body(source: Source, sink: StreamWriter, framing: Framing) -> None:
    """Send a message's body on as it comes.

    Raises:
        CutShortError: It ends too early, or its chunks are none.
        OSError: The other peer is gone.
    """
    match framing:
        case "chunked":
            await _copy_chunks(source, sink)
        case "until-close":
            while piece := await source.take():
                await _send(sink, piece)
        case _:
            await _copy_bytes(source, sink, framing)


async def _copy_bytes(source: Source, sink: StreamWriter, size: int) -> None:
    while size:
        piece = await source.take(min(size, _PIECE))
        if not piece:
            raise CutShortError
        size -= len(piece)
        await _send(sink, piece)


async def _copy_chunks(source: Source, sink: StreamWriter) -> None:
    while True:
        line = await source.line()
        size = _CHUNK.fullmatch(line)
        if size is None:
            raise CutShortError
        sink.write(line)
        if int(size[1], 16) == 0:
            break
        await _copy_bytes(source, sink, int(size[1], 16))
        sink.write(await source.line())
    while (line := await source.line()) not in {b"\r\n", b"\n"}:
        sink.write(line)
    await _send(sink, line)


async def _send(sink: StreamWriter, piece: bytes) -> None:
    sink.write(piece)
    await sink.drain()
