"""Open resources and the calls that use them: the one place that wires everything.

Backends are imported when something first needs them: an answer from memory opens the
local database and nothing else.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from aweigh.backends.localdb import open_localdb
from aweigh.calls import Session
from aweigh.events import silent
from aweigh.image.choose import ChoosingBuilder, PinningBuilder
from aweigh.image.make import ImageTools
from aweigh.settings import Settings, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from aweigh.backends.engine import Engine
    from aweigh.backends.registry import RegistryClient
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.image.build import Builder
    from aweigh.image.checker import Checker
    from aweigh.image.credential import CredentialSource
    from aweigh.image.image import Location
    from aweigh.image.resolve import Resolver
    from aweigh.memory import Memory

__all__ = ["Session", "open_session"]

T = TypeVar("T")


def open_session(
    settings: Settings | None = None,
    *,
    listener: Listener = silent,
    clock: Callable[[], float] = time.time,
) -> AbstractAsyncContextManager[Session]:
    """Open a session; leaving it ends what it runs and closes what it opened.

    Args:
        settings: How to behave; `Settings.load()` when None.
        listener: Hears every event of this session.
        clock: Seconds since the epoch, for the ages of what is remembered.

    Raises:
        SettingsError: The settings cannot be loaded.
    """
    return _Opening(settings, listener, clock)


class _Opening:
    """A session from entering to leaving.

    Not an async generator: a loop that ends closes all of those at the same time, the
    local database's as well, and two would then close one database.
    """

    def __init__(
        self,
        settings: Settings | None,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._clock = clock
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Session:
        settings = self._settings
        if settings is None:
            settings = await asyncio.to_thread(Settings.load)
        async with AsyncExitStack() as stack:
            memory = await stack.enter_async_context(
                open_localdb(
                    settings.cache_dir,
                    listener=self._listener,
                    clock=self._clock,
                    prune_probability=settings.prune_probability,
                )
            )
            # Backends are opened later and are closed before memory, but not before
            # what still uses them has ended.
            opened = await stack.enter_async_context(AsyncExitStack())
            session = Session(
                settings,
                memory,
                Backends(settings, memory, self._listener, opened),
                listener=self._listener,
                clock=self._clock,
            )
            stack.push_async_callback(session.aclose)
            self._stack = stack.pop_all()
        return session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # The coroutine is destroyed after its loop: nothing can be awaited. The
            # database closes itself, and the rest has no life without a loop.
            return None
        return await self._stack.__aexit__(kind, error, trace)


class Backends:
    """Opens each backend once, when it is first needed, until the session ends."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        listener: Listener,
        stack: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._listener = listener
        self._stack = stack
        self.registry = Opener(self._open_registry, stack)
        self.engine = Opener(self._open_engine, stack)
        self._stores: dict[str, Opener[Store]] = {}

    @functools.cached_property
    def credentials(self) -> CredentialSource:
        """The credentials of registries, from Docker's and Podman's files."""
        from aweigh.backends.credentials import DockerCredentials

        return DockerCredentials(environment(), Path.home(), listener=self._listener)

    async def checker(self, location: Location, /) -> Checker:
        """Return the checker that asks this holder of images."""
        if location == "engine":
            engine = await self.engine()
            from aweigh.backends.engine import EngineChecker

            return EngineChecker(engine)
        registry = await self.registry()
        from aweigh.backends.registry import RegistryChecker

        return RegistryChecker(registry)

    async def tools(self, location: Location, /) -> ImageTools:
        """Return what a build needs."""
        registry = await self.registry()
        if location == "engine" or self._settings.builder == "engine":
            builder = await self._engine_builder()
        else:
            builder = await self._assembler()
        return ImageTools(builder=builder, manifests=registry)

    async def _engine_builder(self) -> Builder:
        registry = await self.registry()
        engine = await self.engine()
        resolver = await self._resolver()
        from aweigh.backends.assembler import Pinner
        from aweigh.backends.engine import EngineBuilder

        builder = EngineBuilder(
            engine,
            credentials=self.credentials,
            registry=registry,
            listener=self._listener,
        )
        pinner = Pinner(
            registry=registry,
            resolver=resolver,
            memory=self._memory,
            cache_dir=self._settings.cache_dir,
            listener=self._listener,
        )
        return PinningBuilder(builder, pinner)

    async def _assembler(self) -> Builder:
        registry = await self.registry()
        resolver = await self._resolver()
        from aweigh.backends.assembler import AssembleBuilder, needs_engine

        assembler = AssembleBuilder(
            registry=registry,
            resolver=resolver,
            memory=self._memory,
            cache_dir=self._settings.cache_dir,
            environ=environment(),
            listener=self._listener,
            concurrency=self._settings.concurrency,
        )
        if self._settings.builder == "assemble":
            return assembler
        return ChoosingBuilder(
            assembler,
            self._engine_builder,
            lambda request: needs_engine(request.spec) is not None,
        )

    async def _resolver(self) -> Resolver:
        """Return what pins packages, its backends imported in a thread."""
        for module in ("aweigh.backends.assembler", "aweigh.backends.resolver"):
            await asyncio.to_thread(importlib.import_module, module)
        from aweigh.backends.resolver import RememberingResolver, Uv, UvResolver

        uv = Uv(environment())
        return RememberingResolver(UvResolver(uv), self._memory, time.time, uv)

    async def store(self) -> Store:
        """Return the store of the settings."""
        return await self.store_at(self._settings.store_url)

    async def store_at(self, url: str) -> Store:
        """Return the store with this URL."""
        if url not in self._stores:
            opening = functools.partial(self._open_store, url)
            self._stores[url] = Opener(opening, self._stack)
        return await self._stores[url]()

    def _open_registry(self) -> AbstractAsyncContextManager[RegistryClient]:
        from aweigh.backends.registry import open_registry

        return open_registry(
            self.credentials,
            insecure_registries=self._settings.insecure_registries,
            listener=self._listener,
        )

    def _open_engine(self) -> AbstractAsyncContextManager[Engine]:
        from aweigh.backends.engine import open_engine

        return open_engine(self._settings.engine)

    def _open_store(self, url: str) -> AbstractAsyncContextManager[Store]:
        from aweigh.backends.objects import open_store

        return open_store(url, listener=self._listener)


class Opener(Generic[T]):
    """Opens a resource at the first call and returns the same one from then on.

    A backend's import takes up to a quarter of a second, so it happens in a thread.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[T]],
        stack: AsyncExitStack,
    ) -> None:
        self._opening = opening
        self._stack = stack
        self._lock = asyncio.Lock()
        self._opened: list[T] = []

    async def __call__(self) -> T:
        """Return the resource; cancelling while it opens leaves it closed."""
        async with self._lock:
            if not self._opened:
                context = await asyncio.to_thread(self._opening)
                self._opened.append(await self._stack.enter_async_context(context))
        return self._opened[0]
