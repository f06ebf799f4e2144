"""Builders made of builders: pin first, or choose by what a spec needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.image.build import Builder, BuildRequest, Built

__all__ = ["ChoosingBuilder", "Pinner", "PinningBuilder"]


class Pinner(Protocol):
    """Pins what a request installs."""

    async def pin(self, request: BuildRequest, /) -> BuildRequest:
        """Return the request with its packages pinned, or as it is."""
        ...


class PinningBuilder:
    """Hands a builder requests whose packages are pinned and planned."""

    def __init__(self, inner: Builder, pinner: Pinner) -> None:
        """Pin, then build."""
        self._inner = inner
        self._pinner = pinner
        self.name = inner.name

    async def build(self, request: BuildRequest, /) -> Built:
        """Build what was pinned; raises what pinning and building raise."""
        return await self._inner.build(await self._pinner.pin(request))


class ChoosingBuilder:
    """Assembles what needs no engine; opens the engine for the rest."""

    name = "auto"

    def __init__(
        self,
        assembler: Builder,
        engine: Callable[[], Awaitable[Builder]],
        needs_engine: Callable[[BuildRequest], bool],
    ) -> None:
        """Choose between two builders.

        Args:
            assembler: Builds without an engine.
            engine: Opens the builder that has one.
            needs_engine: Whether a request is not the assembler's.
        """
        self._assembler = assembler
        self._engine = engine
        self._needs_engine = needs_engine

    async def build(self, request: BuildRequest, /) -> Built:
        """Build with whichever can."""
        if self._needs_engine(request):
            return await (await self._engine()).build(request)
        return await self._assembler.build(request)
