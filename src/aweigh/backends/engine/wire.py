"""A reader of protobuf's wire format, as much of it as BuildKit's progress needs.

Encoding: protobuf.dev/programming-guides/encoding (groups are refused: deprecated, and
never written by BuildKit).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_fields"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_LIMIT = 10
_MASK64 = (1 << 64) - 1


def read_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield each field of a message as its number and its value.

    Varints and fixed-width values are unsigned integers; everything else is bytes.

    Raises:
        EngineError: The bytes are no protobuf message.
    """
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise _malformed("field number 0")
        if kind == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(data, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise _malformed(f"wire type {kind}")
        end = position + length
        if end > len(data):
            raise _malformed("a field that ends after the message")
        content = data[position:end]
        position = end
        yield number, content if kind == _BYTES else int.from_bytes(content, "little")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(_VARINT_LIMIT):
        if position + index >= len(data):
            raise _malformed("a number without an end")
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value & _MASK64, position + index + 1
    raise _malformed("a number of more than 64 bits")


def _malformed(what: str) -> EngineError:
    return EngineError(
        f"the engine's build progress is damaged: {what}",
        hint="this engine may be newer than aweigh knows; the build itself is not "
        "affected",
    )
