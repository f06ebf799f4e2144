"""Builders made of builders: pin first, or choose by what a spec needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from aweigh.errors import NeedsEngineError, RegistryError
from aweigh.events import Warned, silent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.events import Listener
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
        pinned = await self._pinner.pin(request)
        built = await self._inner.build(pinned)
        return replace(built, lock=pinned.lock)


class ChoosingBuilder:
    """Assembles what it can; opens the engine for the rest."""

    name = "auto"

    def __init__(
        self,
        assembler: Builder,
        engine: Callable[[], Awaitable[Builder]],
        needs_engine: Callable[[BuildRequest], bool],
        listener: Listener = silent,
    ) -> None:
        """Choose between two builders.

        Args:
            assembler: Builds without an engine.
            engine: Opens the builder that has one.
            needs_engine: Whether a request is not the assembler's.
            listener: Hears why the engine builds what could have been assembled.
        """
        self._assembler = assembler
        self._engine = engine
        self._needs_engine = needs_engine
        self._listener = listener

    async def build(self, request: BuildRequest, /) -> Built:
        """Build with whichever can; raises what the last one raises that tried."""
        if not self._needs_engine(request):
            try:
                return await self._assembler.build(request)
            except NeedsEngineError as error:
                self._tell(request, error.reason)
            except RegistryError as error:
                if not _is_about_the_base(error, request):
                    raise
                self._tell(request, f"its base cannot be read: {error}")
        return await (await self._engine()).build(request)

    def _tell(self, request: BuildRequest, reason: str) -> None:
        self._listener(
            Warned(
                message=f"{request.spec.name} for {request.platform} is built by the "
                f"engine: {reason}",
                hint="builder='engine' does so without trying",
            )
        )


def _is_about_the_base(error: RegistryError, request: BuildRequest) -> bool:
    """Whether an engine may do better: with a copy of its own, or another login."""
    ours = request.reference.registry
    return (
        request.base is not None
        and request.base.registry == error.registry
        and error.registry != ours
    )
