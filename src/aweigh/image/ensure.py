"""Making an image exist with the least work: memory first, then whoever has it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aweigh.events.image import Checked, ImageEnsured
from aweigh.image.checker import FirstDecisive
from aweigh.image.image import Image
from aweigh.image.recall import PersistentCacheChecker, image_key
from aweigh.image.snapshot import names_files, pure_snapshot
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aweigh.concurrency.single_flight import SingleFlight
    from aweigh.events import Listener
    from aweigh.image.checker import Checker, Present, Verdict
    from aweigh.image.image import Location, Origin
    from aweigh.image.job import Destination, Job
    from aweigh.image.make import ToolBox
    from aweigh.image.recall import ImagePolicy
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Memory

__all__ = ["ImageEnsurer"]


class ImageEnsurer:
    """Ensures images for one session."""

    def __init__(
        self,
        *,
        destination: Destination,
        policy: ImagePolicy,
        toolbox: ToolBox,
        flights: SingleFlight[Image],
        locks: Path,
        listener: Listener,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Wire the parts.

        Args:
            destination: Where images go.
            policy: How far memory is trusted.
            toolbox: Opens registry and engine on demand.
            flights: Does equal work once in this process.
            locks: The directory of the lock files: once on this machine.
            listener: Hears what happens.
            clock: Seconds since the epoch.
        """
        self._destination = destination
        self._policy = policy
        self._toolbox = toolbox
        self._flights = flights
        self._locks = locks
        self._listener = listener
        self._clock = clock

    async def ensure(
        self,
        spec: ImageSpec,
        *,
        root: Path,
        memory: Memory,
        platforms: Sequence[str] | None = None,
        rebuild: bool = False,
        upgrade: bool = False,
    ) -> Image:
        """Return the image of a spec, which exists when this returns.

        Cancelling stops a build unless somebody else waits for it; nothing is tagged
        or remembered then.

        Args:
            spec: What is wanted.
            root: Where relative paths of the spec start.
            memory: Where the answer may be, and where it will be.
            platforms: Platforms instead of the spec's own.
            rebuild: Build although it may exist, on the base's newest digest.
            upgrade: Build without the builder's cache as well.

        Raises:
            AweighError: It cannot be built, found out about or kept.
        """
        started = time.perf_counter()
        job = await self.plan(
            spec, root=root, platforms=platforms, rebuild=rebuild, upgrade=upgrade
        )
        image = await self.ensure_job(await self.settle(job, memory), memory)
        self._listener(
            ImageEnsured(
                reference=str(image),
                origin=image.origin,
                seconds=time.perf_counter() - started,
            )
        )
        return image

    async def plan(
        self,
        spec: ImageSpec,
        *,
        root: Path,
        platforms: Sequence[str] | None = None,
        rebuild: bool = False,
        upgrade: bool = False,
    ) -> Job:
        """Work out what is asked for: reads the files that the spec names."""
        if names_files(spec):
            take_snapshot = await self._toolbox.reader()
            snapshot = await asyncio.to_thread(take_snapshot, spec, root)
        else:
            snapshot = pure_snapshot(spec)
        return self._destination.job(
            spec,
            root=root,
            snapshot=snapshot,
            platforms=platforms,
            rebuild=rebuild,
            upgrade=upgrade,
        )

    async def settle(self, job: Job, memory: Memory) -> Job:
        """Choose between an engine and a layout: by a fresh row, or who answers."""
        instead = self._destination.without_engine(job)
        if instead is None:
            return job
        for one in () if job.forced else (job, instead):
            if await self.cache(one, memory).fresh(one.reference, one.platforms):
                return one
        if self._policy.offline or await self._toolbox.has_engine():
            return job
        return instead

    def location(self, spec: ImageSpec) -> Location:
        """Say who is to hold the image of a spec, before anybody is asked."""
        return self._destination.location(spec)

    def cache(self, job: Job, memory: Memory) -> PersistentCacheChecker:
        """Return the checker that answers this job from memory."""
        return PersistentCacheChecker(
            memory,
            scope=job.scope,
            spec_digest=job.snapshot.digest,
            policy=self._policy,
            source=lambda: self._toolbox.checker(job.location),
            listener=self._listener,
            clock=self._clock,
        )

    async def forget(self, image: Image, memory: Memory) -> None:
        """Drop what is remembered about an image, whoever holds it."""
        scope = self._destination.scope(image.location)
        await memory.forget(Table.IMAGES, [image_key(scope, image.reference)])

    async def check(self, job: Job, memory: Memory) -> Verdict:
        """Ask memory, then the holder."""
        checkers: list[Checker] = [self.cache(job, memory)]
        if not self._policy.offline:
            checkers.append(await self._toolbox.checker(job.location))
        chain = FirstDecisive(checkers, self._listener)
        return await chain.check(job.reference, job.platforms)

    async def ensure_job(self, job: Job, memory: Memory) -> Image:
        """Return the image of a job that is settled: from memory, or obtained once."""
        image = None if job.forced else await self._fresh(job, memory)
        if image is None:
            image = await self._flights.do(
                job.flight_key, lambda: self._obtain(job, memory)
            )
        return image

    def answer(self, job: Job, present: Present) -> Image:
        """Return the image that a checker says is there."""
        origin: Origin = "found" if present.verified_at is None else "recalled"
        return Image(
            reference=job.reference,
            digest=present.descriptor.digest,
            location=job.location,
            platforms=present.platforms,
            origin=origin,
            verified_at=present.verified_at or self._clock(),
            layout=job.layout,
        )

    async def _fresh(self, job: Job, memory: Memory) -> Image | None:
        started = time.perf_counter()
        present = await self.cache(job, memory).fresh(job.reference, job.platforms)
        if present is None:
            return None
        self._listener(
            Checked(
                checker="cache",
                reference=job.reference,
                verdict="present",
                reason="",
                seconds=time.perf_counter() - started,
            )
        )
        return self.answer(job, present)

    async def _obtain(self, job: Job, memory: Memory) -> Image:
        obtainer = await self._toolbox.obtainer()
        return await obtainer(
            self,
            policy=self._policy,
            toolbox=self._toolbox,
            locks=self._locks,
            listener=self._listener,
            clock=self._clock,
        ).obtain(job, memory)
