"""What a `FaultProxy` can do to the service's answer while that passes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.testing.exchange import END, chain, first, split_head

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.testing.exchange import Exchange, Pieces

__all__ = ["Damage", "Drip", "Rewrite", "Stall", "Truncate"]


@dataclass(frozen=True, slots=True)
class Truncate:
    """Closes the connection before the promised content is complete.

    Attributes:
        keep: Bytes of the content that reach the client.
    """

    keep: int = 0

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on the head and a part of the content."""

        async def pipe(pieces: Pieces, /) -> Pieces:
            head, rest = await split_head(pieces)
            yield head
            async for piece in first(chain(rest, pieces), self.keep):
                yield piece

        await exchange.relay(download=pipe)


@dataclass(frozen=True, slots=True)
class Stall:
    """Falls silent in the middle of the service's answer, until the client leaves.

    Attributes:
        after: Bytes of the answer that reach the client, its head included.
    """

    after: int

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on a part of the answer, and keep the connection."""

        async def pipe(pieces: Pieces, /) -> Pieces:
            async for piece in first(pieces, self.after):
                yield piece
            await asyncio.Event().wait()

        await exchange.relay(download=pipe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """Lets the service's answer through in small drops.

    Attributes:
        pause: Seconds between two drops.
        size: Bytes of a drop.
    """

    pause: float = 0.05
    size: int = 1

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on the answer, slowly."""

        async def pipe(pieces: Pieces, /) -> Pieces:
            async for piece in pieces:
                for start in range(0, len(piece), self.size):
                    yield piece[start : start + self.size]
                    await asyncio.sleep(self.pause)

        await exchange.relay(download=pipe)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Lets the service answer and changes the head of its answer.

    Attributes:
        headers: New values by header name; None drops the header.
    """

    headers: Mapping[str, str | None]

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on the answer with other headers."""
        names = {name.lower() for name in self.headers}

        async def pipe(pieces: Pieces, /) -> Pieces:
            head, rest = await split_head(pieces)
            status, *lines = head.removesuffix(END).decode("latin-1").split("\r\n")
            kept = [
                line for line in lines if line.partition(":")[0].lower() not in names
            ]
            new = [f"{name}: {text}" for name, text in self.headers.items() if text]
            yield "\r\n".join((status, *kept, *new)).encode("latin-1") + END
            async for piece in chain(rest, pieces):
                yield piece

        await exchange.relay(download=pipe)


@dataclass(frozen=True, slots=True)
class Damage:
    """Lets the service answer and flips a bit of its content.

    Attributes:
        offset: Which byte of the content.
    """

    offset: int = 0

    async def apply(self, exchange: Exchange, /) -> None:
        """Pass on the answer with one wrong byte."""

        async def pipe(pieces: Pieces, /) -> Pieces:
            head, rest = await split_head(pieces)
            yield head
            position = 0
            async for piece in chain(rest, pieces):
                changed = bytearray(piece)
                if position <= self.offset < position + len(piece):
                    changed[self.offset - position] ^= 1
                position += len(piece)
                yield bytes(changed)

        await exchange.relay(download=pipe)
