"""What makes images and tells of them, put together when the first is to be made."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aweigh.backends.assembler import (
    AssembleBuilder,
    Foresight,
    LayerPreviewer,
    Pinner,
    Wheelhouse,
    needs_engine,
    only_engine,
)
from aweigh.backends.layout import RoutedRegistry
from aweigh.backends.resolver import RememberingResolver, Uv, UvResolver
from aweigh.image.choose import ChoosingBuilder, PinningBuilder
from aweigh.image.make import ImageTools, uncut
from aweigh.image.segments import prefix_of
from aweigh.memory import ReadOnlyMemory
from aweigh.oci.layout import LAYOUT_HOST
from aweigh.settings import environment

if TYPE_CHECKING:
    from typing import Protocol

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.layout import ImageLayout
    from aweigh.backends.registry import RegistryClient
    from aweigh.concurrency.opener import Opener
    from aweigh.events import Listener
    from aweigh.image.build import Builder
    from aweigh.image.credential import CredentialSource
    from aweigh.image.image import Location
    from aweigh.image.preview import LayerExplainer
    from aweigh.image.registry import Registry
    from aweigh.image.resolve import Resolver
    from aweigh.image.segments import Prefix
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Memory
    from aweigh.settings import Settings

    class Holders(Protocol):
        """Who may hold images, each opened when it is first needed."""

        @property
        def registry(self) -> Opener[RegistryClient]:
            """All registries."""
            ...

        @property
        def engine(self) -> Opener[Engine]:
            """The engine of the settings."""
            ...

        @property
        def layout(self) -> ImageLayout:
            """The image layout on this machine."""
            ...

        @property
        def credentials(self) -> CredentialSource:
            """Who we are at registries."""
            ...


__all__ = ["Builders"]


class Builders:
    """Chooses builders and what tells of their layers, as the settings wish.

    Args:
        holders: Who may hold images.
        settings: What the user wishes.
        memory: What this machine remembers.
        listener: Hears of everything.
    """

    def __init__(
        self,
        holders: Holders,
        settings: Settings,
        memory: Memory,
        listener: Listener,
    ) -> None:
        self._holders = holders
        self._settings = settings
        self._memory = memory
        self._listener = listener

    async def tools(self, location: Location, /) -> ImageTools:
        """Return what a build needs."""
        registry = await self._holders.registry()
        if location == "layout":
            routed = RoutedRegistry(LAYOUT_HOST, self._holders.layout, registry)
            return ImageTools(builder=self._pure_assembler(routed), manifests=routed)
        if location == "engine" or self._settings.builder == "engine":
            builder = await self._engine_builder()
        else:
            builder = await self._assembler()
        return ImageTools(
            builder=builder,
            manifests=registry,
            referrers=registry,
            cut=self._cut if location == "registry" else uncut,
        )

    async def explainer(self, location: Location, /) -> LayerExplainer:
        """Return what tells of the layers of images, and changes nothing."""
        memory = ReadOnlyMemory(self._memory)
        resolver = self._resolver(memory)
        registry: Registry = await self._holders.registry()
        builder = "engine" if location == "engine" else self._settings.builder
        if location == "layout":
            registry = RoutedRegistry(LAYOUT_HOST, self._holders.layout, registry)
            builder = "assemble"
        foresight = Foresight(
            registry=registry,
            resolver=resolver,
            memory=memory,
            cache_dir=self._settings.cache_dir,
            environ=environment(),
            builder=builder,
            cut=self._cut if location == "registry" else uncut,
            layer_cache=self._settings.layer_cache,
            compression=self._settings.compression,
        )
        return LayerPreviewer(registry, foresight)

    def _cut(self, spec: ImageSpec) -> Prefix | None:
        """Say which steps of a spec are to be an image of their own."""
        builder = self._settings.builder
        if builder == "engine":
            return None
        return prefix_of(spec, only_engine, has_engine=builder == "auto")

    async def _engine_builder(self) -> Builder:
        registry = await self._holders.registry()
        engine = await self._holders.engine()
        resolver = self._resolver()
        from aweigh.backends.engine.build import EngineBuilder

        builder = EngineBuilder(
            engine,
            credentials=self._holders.credentials,
            registry=registry,
            listener=self._listener,
        )
        pinner = Pinner(
            registry=registry,
            resolver=resolver,
            memory=self._memory,
            wheelhouse=Wheelhouse(
                environ=environment(), cache_dir=self._settings.cache_dir
            ),
            cache_dir=self._settings.cache_dir,
            listener=self._listener,
        )
        return PinningBuilder(builder, pinner)

    def _pure_assembler(self, registry: Registry) -> Builder:
        return AssembleBuilder(
            registry=registry,
            resolver=self._resolver(),
            memory=self._memory,
            cache_dir=self._settings.cache_dir,
            environ=environment(),
            listener=self._listener,
            concurrency=self._settings.concurrency,
            layer_cache=self._settings.layer_cache,
            compression=self._settings.compression,
        )

    async def _assembler(self) -> Builder:
        assembler = self._pure_assembler(await self._holders.registry())

        if self._settings.builder == "assemble":
            return assembler
        return ChoosingBuilder(
            assembler,
            self._engine_builder,
            lambda request: needs_engine(request.spec, request.done) is not None,
            self._listener,
        )

    def _resolver(self, memory: Memory | None = None) -> Resolver:
        """Return what pins packages."""
        uv = Uv(environment())
        memory = memory or self._memory
        return RememberingResolver(UvResolver(uv), memory, time.time, uv)
