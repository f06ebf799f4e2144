"""Making an image exist with the least work: recall, check, build, remember."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, assert_never

from aweigh.concurrency.file_lock import FileLock
from aweigh.errors import UndecidedError
from aweigh.events import Warned
from aweigh.events.image import Checked, ImageEnsured
from aweigh.image.checker import Absent, FirstDecisive, Present, Unknown
from aweigh.image.image import Image
from aweigh.image.job import Beneath
from aweigh.image.recall import PersistentCacheChecker, image_key
from aweigh.image.snapshot import names_files, pure_snapshot, take_snapshot
from aweigh.memory import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from aweigh.concurrency.single_flight import SingleFlight
    from aweigh.events import Listener
    from aweigh.image.checker import Checker, Verdict
    from aweigh.image.image import Location, Origin
    from aweigh.image.job import Destination, Job
    from aweigh.image.make import ImageTools, ToolBox
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
        image = await self._ensure(await self.settle(job, memory), memory)
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

    async def _ensure(self, job: Job, memory: Memory) -> Image:
        image = None if job.forced else await self._fresh(job, memory)
        if image is None:
            image = await self._flights.do(
                job.flight_key, lambda: self._work(job, memory)
            )
        return image

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
        return self._image(job, present)

    async def _work(self, job: Job, memory: Memory) -> Image:
        """Do what one caller at a time does, on this machine, for this image."""
        lock = FileLock(
            self._locks,
            image_key(job.scope, job.reference),
            purpose=f"ensuring {job.reference}",
        )
        async with lock.hold(listener=self._listener):
            if job.forced:
                return await self._build(job, memory)
            # The second look: whoever held the lock before may have built it.
            verdict = await self.check(job, memory)
            match verdict:
                case Present():
                    image = self._image(job, verdict)
                    if image.origin == "found":
                        await self.cache(job, memory).remember(image)
                    return image
                case Absent():
                    return await self._build(job, memory)
                case Unknown():
                    if self._policy.offline or self._policy.on_unknown == "fail":
                        raise self._undecided(job, verdict)
                    return await self._build(job, memory)
                case _:
                    assert_never(verdict)

    def _undecided(self, job: Job, said: Unknown) -> UndecidedError:
        if self._policy.offline:
            return UndecidedError(
                str(job.reference),
                {"offline": f"only memory may be asked: {said.reason}"},
                hint="run once without AWEIGH_OFFLINE, or switch it off",
            )
        way_out = "set AWEIGH_ON_UNKNOWN=build to build whenever nobody can say"
        return UndecidedError(
            str(job.reference),
            dict(said.reasons),
            hint=f"{said.hint}; or {way_out}" if said.hint else way_out,
            refused=said.refused,
        )

    async def _build(self, job: Job, memory: Memory) -> Image:
        tools = await self._toolbox.tools(job.location)
        beneath = await self._beneath(job, tools, memory)
        digest, platforms = await tools.make(job, self._listener, beneath)
        image = Image(
            reference=job.reference,
            digest=digest,
            location=job.location,
            platforms=platforms,
            origin="built",
            verified_at=self._clock(),
            layout=job.layout,
        )
        if await self._unchanged(job):
            await self.cache(job, memory).remember(image)
        return image

    async def _beneath(
        self, job: Job, tools: ImageTools, memory: Memory
    ) -> Beneath | None:
        """Ensure the image to build on: locks are taken from the whole to its parts."""
        prefix = tools.cut(job.spec)
        if prefix is None:
            return None
        part = tools.part(job, prefix)
        image = await self._ensure(part, memory)
        pinned = image.reference.with_digest(image.digest)
        if image.origin == "recalled" and not await tools.manifests.head_manifest(
            pinned
        ):
            # Remembered, and deleted since: a build on it could only fail.
            await self.forget(image, memory)
            image = await self._ensure(part, memory)
            pinned = image.reference.with_digest(image.digest)
        return Beneath(image=pinned, prefix=prefix)

    async def _unchanged(self, job: Job) -> bool:
        """Whether the files still are what was built; the image is right either way."""
        if not names_files(job.spec):
            return True
        whole = job.whole or job
        again = await asyncio.to_thread(take_snapshot, whole.spec, whole.root)
        if again.digest == whole.snapshot.digest:
            return True
        self._listener(
            Warned(
                message=f"files of image {job.spec.name} changed during the build; "
                "the image holds them as they were when it began",
                hint="ensure it again to build the files as they are now",
            )
        )
        return False

    def _image(self, job: Job, present: Present) -> Image:
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
