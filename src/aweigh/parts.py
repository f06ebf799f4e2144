"""The parts of a session: what each use case is done with, wired once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.bundle.bundle import Bundle
from aweigh.bundle.form import Form
from aweigh.bundle.upload import BundlePolicy, BundleUploader
from aweigh.concurrency.single_flight import SingleFlight
from aweigh.flow.prepare import prepare
from aweigh.image.ensure import ImageEnsurer
from aweigh.image.image import Image
from aweigh.image.job import Destination
from aweigh.image.recall import ImagePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from aweigh.asides import Asides
    from aweigh.bundle.freight import Deliver
    from aweigh.bundle.store import Store
    from aweigh.bundle.upload import Uploaded
    from aweigh.events import Listener
    from aweigh.flow.code import CodeTools
    from aweigh.flow.prepare import Prepared
    from aweigh.flow.serve import DevLoop
    from aweigh.flow.target import Target
    from aweigh.flows import Flows
    from aweigh.image.image import Location
    from aweigh.image.make import ToolBox
    from aweigh.image.preview import LayerExplainer
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Memory
    from aweigh.settings import Settings

    class Backends(ToolBox, CodeTools, Protocol):
        """Opens backends when they are first needed."""

        async def explainer(self, location: Location, /) -> LayerExplainer:
            """Return what tells of the layers of this holder's images."""
            ...

        async def store(self) -> Store:
            """Return the store of the settings."""
            ...

        async def store_at(self, url: str, /) -> Store:
            """Return the store with this URL."""
            ...

        async def deliver(self, form: Form, /) -> Deliver:
            """Return what puts bundles of a form into stores."""
            ...

        async def target(self, name: str, /) -> Target:
            """Return the target of this name, which answers."""
            ...

        async def dev_loop(self) -> DevLoop:
            """Return what serves."""
            ...

        async def asides(self, parts: Parts, /) -> Asides:
            """Return what else there is, of a session with these parts."""
            ...

        async def flows(self, parts: Parts, /) -> Flows:
            """Return the flows of a session with these parts."""
            ...


__all__ = ["Parts"]


class Parts:
    """What the calls of one session share.

    Attributes:
        settings: How to behave.
        memory: What is remembered.
        backends: What is opened when it is needed.
        listener: Hears every event.
        images: Ensures images.
        bundles: Uploads bundles.
        code_flights: Code being put on images.
        destination: Where images go.
        policy: How far remembered images are trusted.
        locks: The directory of lock files.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        backends: Backends,
        *,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        """Wire the parts; nothing is opened yet."""
        self.settings = settings
        self.memory = memory
        self.backends = backends
        self.listener = listener
        self.clock = clock
        self.locks = settings.cache_dir / "locks"
        self.destination = Destination.of(settings)
        self.policy = ImagePolicy(
            fresh_for=settings.image_fresh_for,
            ttl=settings.image_ttl,
            offline=settings.offline,
            on_unknown=settings.on_unknown,
        )
        self._image_flights = SingleFlight[Image]()
        self._bundle_flights = SingleFlight[Bundle]()
        self.code_flights = SingleFlight[Image]()
        self.images = self._image_ensurer()
        self.bundles = self._bundle_uploader()

    async def aclose(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        try:
            await self.code_flights.aclose()
        finally:
            try:
                await self._image_flights.aclose()
            finally:
                await self._bundle_flights.aclose()

    async def prepare(self, spec: ImageSpec, directory: str | Path, /) -> Prepared:
        """Make a spec's image and a directory's bundle exist at the same time."""
        return await prepare(
            functools.partial(self.ensure, spec),
            functools.partial(self.upload, directory),
            self.memory,
        )

    async def ensure(
        self,
        spec: ImageSpec,
        memory: Memory,
        *,
        platforms: Sequence[str] | None = None,
        rebuild: bool = False,
        upgrade: bool = False,
    ) -> Image:
        """Ensure an image, its relative paths starting at the current directory."""
        return await self.images.ensure(
            spec,
            root=Path.cwd(),
            memory=memory,
            platforms=platforms,
            rebuild=rebuild,
            upgrade=upgrade,
        )

    async def upload(
        self,
        directory: str | Path,
        memory: Memory,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow: bool = False,
        form: Form = Form.PACKS,
    ) -> Uploaded:
        """Upload a directory and remember that."""
        uploaded = await self.bundles.upload(
            Path(directory),
            memory=memory,
            include=tuple(include),
            exclude=tuple(exclude),
            follow=follow,
            form=form,
            size_limit=self.settings.bundle_size_limit,
        )
        await memory.remember(uploaded.records)
        return uploaded

    def _image_ensurer(self) -> ImageEnsurer:
        return ImageEnsurer(
            destination=self.destination,
            policy=self.policy,
            toolbox=self.backends,
            flights=self._image_flights,
            locks=self.locks,
            listener=self.listener,
            clock=self.clock,
        )

    def _bundle_uploader(self) -> BundleUploader:
        settings = self.settings
        return BundleUploader(
            store=self.backends.store,
            deliver=self.backends.deliver,
            store_url=settings.store_url,
            policy=BundlePolicy(
                fresh_for=settings.bundle_fresh_for,
                ttl=settings.bundle_ttl,
                offline=settings.offline,
            ),
            flights=self._bundle_flights,
            locks=self.locks,
            ours=(settings.cache_dir, settings.data_dir),
            listener=self.listener,
            clock=self.clock,
        )
