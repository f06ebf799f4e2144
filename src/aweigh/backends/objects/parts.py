"""How an object is cut for sending: at once, or in parts of a fitting size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

__all__ = ["AT_ONCE", "Feed", "PartSizes", "first_part"]

# Below this a single request is faster than several, and can be conditional.
AT_ONCE: Final = 16 << 20
_SMALLEST: Final = 8 << 20
_MEMORY: Final = 64 << 20
_MIB: Final = 1 << 20
# S3 takes 10 000 parts; the rest is for what a bound leaves open.
_PARTS: Final = 9_000
_SLICE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class PartSizes:
    """Sizes of an upload in parts.

    Attributes:
        part: Bytes of each part but the last.
        at_once: Parts under way at the same time; together at most 64 MiB, or one.
    """

    part: int
    at_once: int

    @classmethod
    def of(cls, size: int | None) -> PartSizes:
        """Choose for an object of at most this many bytes.

        Without a size there is room for 70 GiB.
        """
        need = -(-(size or 0) // _PARTS)
        part = max(_SMALLEST, -(-need // _MIB) * _MIB)
        return cls(part=part, at_once=max(1, min(4, _MEMORY // part)))


async def first_part(
    chunks: AsyncIterator[bytes] | bytes,
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """Collect what fits one request.

    Returns:
        The bytes so far, and the rest, or None when that was all.
    """
    if isinstance(chunks, bytes):
        if len(chunks) <= AT_ONCE:
            return chunks, None
        return b"", _slices(chunks)
    parts: list[bytes] = []
    held = 0
    async for chunk in chunks:
        parts.append(chunk)
        held += len(chunk)
        if held > AT_ONCE:
            return b"".join(parts), chunks
    return b"".join(parts), None


async def _slices(body: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


class Feed:
    """The source of an upload in parts, which can be told to fail.

    Attributes:
        failure: What went wrong in the source, as the source raised it.
    """

    def __init__(self, head: bytes, rest: AsyncIterator[bytes]) -> None:
        """Begin with what was collected, and go on with the rest."""
        self._head = head
        self._rest = rest
        self._stopped = False
        self.failure: Exception | None = None

    def stop(self) -> None:
        """Fail at the next piece."""
        self._stopped = True

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Yield the pieces.

        Raises:
            InterruptedError: It was told to stop.
        """
        yield self._head
        try:
            async for chunk in self._rest:
                self._check()
                yield chunk
        except Exception as error:
            self.failure = error
            raise

    def _check(self) -> None:
        if self._stopped:
            raise InterruptedError("the upload was cancelled")
