"""An image with code on it: made once, remembered as images are."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from aweigh.bundle.members import layer_members
from aweigh.concurrency.file_lock import FileLock
from aweigh.errors import UndecidedError
from aweigh.events.flow import CodeDelivered
from aweigh.image.checker import Present
from aweigh.image.code import CodeLayer, code_reference
from aweigh.image.recall import PersistentCacheChecker, image_key
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aweigh.concurrency.single_flight import SingleFlight
    from aweigh.events import Listener
    from aweigh.flow.prepare import Prepared
    from aweigh.image.checker import Checker
    from aweigh.image.code import Appended
    from aweigh.image.image import Image, Location
    from aweigh.image.job import Destination
    from aweigh.image.recall import ImagePolicy
    from aweigh.memory import Memory
    from aweigh.oci import Digest, Reference
    from aweigh.settings import Compression

__all__ = ["CodeImages", "CodeMaker", "CodeTools"]


class CodeMaker(Protocol):
    """Puts a layer of code on an image, where the image is."""

    async def make(
        self, image: Image, reference: Reference, layer: CodeLayer, /
    ) -> Appended:
        """Make sure that ``reference`` is the image with this code on it.

        Cancelling leaves nothing under that name, or all of it.

        Raises:
            ChangedError: A file is not what it was when it was listed.
            ImageGoneError: The image is not where it was said to be.
            AweighError: Whoever holds the image refused, or did not answer.
        """
        ...


class CodeTools(Protocol):
    """Opens what asks and makes; an image that is remembered needs neither."""

    async def checker(self, location: Location, /) -> Checker:
        """Return the checker that asks this holder of images."""
        ...

    async def coder(self, location: Location, /) -> CodeMaker:
        """Return what puts code on images of this holder."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImages:
    """Makes images with code for one session.

    Attributes:
        destination: Where images go.
        directory: Where the code lies in them.
        compression: How its layer is compressed.
        policy: How far memory is trusted.
        tools: Opens registry and engine on demand.
        flights: Does equal work once in this process.
        locks: The directory of the lock files: once on this machine.
        listener: Hears what happens.
        clock: Seconds since the epoch.
    """

    destination: Destination
    directory: str
    compression: Compression
    policy: ImagePolicy
    tools: CodeTools
    flights: SingleFlight[Image]
    locks: Path
    listener: Listener
    clock: Callable[[], float]

    async def ensure(self, prepared: Prepared, memory: Memory) -> Image:
        """Return the image that has the code that was prepared.

        Args:
            prepared: The image, the bundle, and the files it was made of.
            memory: Where the answer may be, and where it will be.

        Raises:
            ChangedError: The files are not what they were; prepare them again.
            ImageGoneError: The image is not where it was said to be.
            UndecidedError: Nothing is remembered, and nobody may be asked.
            AweighError: Whoever holds the image refused, or did not answer.

        Cancelling stops the work unless somebody else waits for it.
        """
        started = time.perf_counter()
        ready = prepared.ready
        layer = CodeLayer(
            bundle=ready.bundle.digest,
            directory=self.directory,
            compression=self.compression,
            members=partial(layer_members, prepared.tree, self.directory),
        )
        digest = layer.digest(ready.image)
        reference = code_reference(ready.image, digest)
        cache = self._cache(ready.image, digest, memory)
        present = await cache.fresh(reference, ready.image.platforms)
        if present is None:
            image = await self.flights.do(
                f"code {reference}",
                partial(self._work, ready.image, reference, layer, cache),
            )
        else:
            image = self._recalled(ready.image, reference, present)
        self.listener(
            CodeDelivered(
                reference=str(image),
                origin=image.origin,
                seconds=time.perf_counter() - started,
            )
        )
        return image

    async def forget(self, image: Image, memory: Memory) -> None:
        """Drop what is remembered about an image with code."""
        scope = self.destination.scope(image.location)
        await memory.forget(Table.IMAGES, [image_key(scope, image.reference)])

    async def _work(
        self,
        below: Image,
        reference: Reference,
        layer: CodeLayer,
        cache: PersistentCacheChecker,
    ) -> Image:
        """Do what one caller at a time does, on this machine, for this image."""
        lock = FileLock(self.locks, f"code {reference}", purpose=f"making {reference}")
        async with lock.hold(listener=self.listener):
            # The second look, and the question about a row that is stale.
            verdict = await cache.check(reference, below.platforms)
            if isinstance(verdict, Present):
                return self._recalled(below, reference, verdict)
            if self.policy.offline:
                raise UndecidedError(
                    str(reference),
                    {"offline": f"only memory may be asked: {verdict.reason}"},
                    hint="run this code once without AWEIGH_OFFLINE",
                )
            maker = await self.tools.coder(below.location)
            made = await maker.make(below, reference, layer)
            image = replace(
                below,
                reference=reference,
                digest=made.digest,
                origin=made.origin,
                verified_at=self.clock(),
            )
            await cache.remember(image)
            return image

    def _cache(
        self, below: Image, digest: Digest, memory: Memory
    ) -> PersistentCacheChecker:
        return PersistentCacheChecker(
            memory,
            scope=self.destination.scope(below.location),
            spec_digest=digest,
            policy=self.policy,
            source=lambda: self.tools.checker(below.location),
            listener=self.listener,
            clock=self.clock,
        )

    def _recalled(self, below: Image, reference: Reference, present: Present) -> Image:
        return replace(
            below,
            reference=reference,
            digest=present.descriptor.digest,
            platforms=present.platforms,
            origin="recalled",
            verified_at=present.verified_at or self.clock(),
        )
