"""Backends, opened when something first needs them: the seam of the lazy imports.

An answer from memory opens the local database and nothing else.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.bundle.form import Form
from aweigh.bundle.store import Scheme, StoreUrl
from aweigh.concurrency.opener import Opener
from aweigh.errors import EngineError
from aweigh.events import Warned
from aweigh.settings import environment

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AsyncExitStack

    from aweigh.asides import Asides
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.layout import ImageLayout
    from aweigh.backends.registry import RegistryClient
    from aweigh.builders import Builders
    from aweigh.bundle.freight import Deliver
    from aweigh.bundle.store import Store
    from aweigh.events import Listener
    from aweigh.flow.code import CodeMaker
    from aweigh.flow.serve import DevLoop
    from aweigh.flow.target import Target
    from aweigh.flows import Flows
    from aweigh.image.checker import Checker
    from aweigh.image.credential import CredentialSource
    from aweigh.image.image import Location
    from aweigh.image.make import ImageTools, TakeSnapshot
    from aweigh.image.obtain import ImageObtainer
    from aweigh.image.preview import LayerExplainer
    from aweigh.memory import Memory
    from aweigh.parts import Parts
    from aweigh.settings import Settings
    from aweigh.targets import Targets

__all__ = ["Backends"]


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
        self._coders: dict[Location, CodeMaker] = {}
        self._targets: Targets | None = None
        self._told = False

    @functools.cached_property
    def credentials(self) -> CredentialSource:
        """The credentials of registries, from Docker's and Podman's files."""
        from aweigh.backends.credentials import DockerCredentials

        return DockerCredentials(environment(), Path.home(), listener=self._listener)

    @functools.cached_property
    def layout(self) -> ImageLayout:
        """The image layout on this machine."""
        from aweigh.backends.layout import ImageLayout

        return ImageLayout(self._settings.image_dir, listener=self._listener)

    async def has_engine(self) -> bool:
        """Tell whether a container engine answers; the first time, say if none does."""
        try:
            await (await self.engine()).ping()
        except EngineError as error:
            if not self._told:
                self._listener(_no_engine(error, self._settings.image_dir))
            self._told = True
            return False
        return True

    async def checker(self, location: Location, /) -> Checker:
        """Return the checker that asks this holder of images."""
        if location == "layout":
            from aweigh.backends.layout import LayoutChecker

            return LayoutChecker(self.layout)
        if location == "engine":
            engine = await self.engine()
            from aweigh.backends.engine.checker import EngineChecker

            return EngineChecker(engine)
        registry = await self.registry()
        from aweigh.backends.registry import RegistryChecker

        return RegistryChecker(registry)

    async def reader(self) -> TakeSnapshot:
        """Return what reads the files that a spec names, imported in a thread."""
        await asyncio.to_thread(importlib.import_module, "aweigh.image.files")
        from aweigh.image.files import take_snapshot

        return take_snapshot

    async def obtainer(self) -> type[ImageObtainer]:
        """Return what obtains images, imported in a thread."""
        await asyncio.to_thread(importlib.import_module, "aweigh.image.obtain")
        from aweigh.image.obtain import ImageObtainer

        return ImageObtainer

    async def coder(self, location: Location, /) -> CodeMaker:
        """Return what puts code on images of this holder."""
        if location not in self._coders:
            self._coders[location] = await self._coder(location)
        return self._coders[location]

    async def _coder(self, location: Location) -> CodeMaker:
        directory = self._settings.cache_dir / "assemble"
        if location == "engine":
            engine = await self.engine()
            from aweigh.backends.engine.code import EngineCoder

            return EngineCoder(engine, directory=directory)
        registry = await self.registry()
        from aweigh.image.code_push import RegistryCoder

        return RegistryCoder(registry, memory=self._memory, directory=directory)

    async def target(self, name: str, /) -> Target:
        """Return the target of this name, which answers."""
        if self._targets is None:
            module = await asyncio.to_thread(importlib.import_module, "aweigh.targets")
            self._targets = module.Targets(
                self.engine, credentials=self.credentials, listener=self._listener
            )
        return await self._targets.named(name)

    async def flows(self, parts: Parts, /) -> Flows:
        """Return what starts things, imported in a thread."""
        await asyncio.to_thread(importlib.import_module, "aweigh.flows")
        from aweigh.flows import Flows

        return Flows(parts)

    async def deliver(self, form: Form, /) -> Deliver:
        """Return what puts bundles of a form into stores, imported in a thread."""
        if form is Form.PACKS:
            await asyncio.to_thread(importlib.import_module, "aweigh.bundle.deliver")
            from aweigh.bundle.deliver import deliver

            return deliver
        await asyncio.to_thread(importlib.import_module, "aweigh.bundle.archives")
        from aweigh.bundle.archives import deliver_archive

        return deliver_archive

    async def asides(self, parts: Parts, /) -> Asides:
        """Return what is asked for less often, imported in a thread."""
        await asyncio.to_thread(importlib.import_module, "aweigh.asides")
        from aweigh.asides import Asides

        return Asides(parts)

    async def dev_loop(self) -> DevLoop:
        """Return what serves, its modules imported in a thread."""
        for module in ("aweigh.flow.serve", "aweigh.backends.watcher"):
            await asyncio.to_thread(importlib.import_module, module)
        from aweigh.backends.watcher import TreeWatcher
        from aweigh.flow.serve import DevLoop

        return DevLoop(TreeWatcher)

    async def tools(self, location: Location, /) -> ImageTools:
        """Return what a build needs."""
        return await (await self._builders()).tools(location)

    async def explainer(self, location: Location, /) -> LayerExplainer:
        """Return what tells of the layers of images, and changes nothing."""
        return await (await self._builders()).explainer(location)

    async def _builders(self) -> Builders:
        """Return what makes images, imported in a thread."""
        await asyncio.to_thread(importlib.import_module, "aweigh.builders")
        from aweigh.builders import Builders

        return Builders(self, self._settings, self._memory, self._listener)

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
        from aweigh.backends.engine.client import open_engine

        return open_engine(self._settings.engine)

    def _open_store(self, url: str) -> AbstractAsyncContextManager[Store]:
        parsed = StoreUrl.parse(url)
        if parsed.scheme is Scheme.FILE:
            from aweigh.backends.objects.deadlines import Deadlines
            from aweigh.backends.objects.directory import DirectoryStore

            return nullcontext(DirectoryStore(parsed, deadlines=Deadlines()))
        from aweigh.backends.objects.opening import open_store

        return open_store(url, listener=self._listener)


def _no_engine(error: EngineError, layout: Path) -> Warned:
    return Warned(
        message=f"images stay in {layout}: {error}",
        hint=f'{error.hint}; or set builder = "assemble" to do without one',
    )
