"""Obtaining an image that memory does not answer for: looked for, else built, once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, assert_never

from aweigh.concurrency.file_lock import FileLock
from aweigh.errors import UndecidedError
from aweigh.events import Warned
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.image.files import take_snapshot
from aweigh.image.image import Image
from aweigh.image.job import Beneath
from aweigh.image.recall import image_key
from aweigh.image.snapshot import names_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aweigh.events import Listener
    from aweigh.image.ensure import ImageEnsurer
    from aweigh.image.job import Job
    from aweigh.image.make import ImageTools, ToolBox
    from aweigh.image.recall import ImagePolicy
    from aweigh.memory import Memory

__all__ = ["ImageObtainer"]


class ImageObtainer:
    """Obtains images for one session; imported when memory had no answer."""

    def __init__(
        self,
        images: ImageEnsurer,
        *,
        policy: ImagePolicy,
        toolbox: ToolBox,
        locks: Path,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        """Wire the parts.

        Args:
            images: Asks and remembers, and ensures the image that one is built on.
            policy: What to do when nobody can say.
            toolbox: Opens registry and engine on demand.
            locks: The directory of the lock files: once on this machine.
            listener: Hears what happens.
            clock: Seconds since the epoch.
        """
        self._images = images
        self._policy = policy
        self._toolbox = toolbox
        self._locks = locks
        self._listener = listener
        self._clock = clock

    async def obtain(self, job: Job, memory: Memory) -> Image:
        """Return an image that exists by now: found where it is held, or built.

        One caller at a time does this on this machine. Cancelling stops a build;
        nothing is tagged or remembered then.

        Args:
            job: What is wanted.
            memory: Where the answer may be by now, and where it will be.

        Raises:
            UndecidedError: Nobody could say whether it exists.
            AweighError: It cannot be built or kept.
        """
        lock = FileLock(
            self._locks,
            image_key(job.scope, job.reference),
            purpose=f"ensuring {job.reference}",
        )
        async with lock.hold(listener=self._listener):
            if job.forced:
                return await self._build(job, memory)
            # The second look: whoever held the lock before may have built it.
            verdict = await self._images.check(job, memory)
            match verdict:
                case Present():
                    image = self._images.answer(job, verdict)
                    if image.origin == "found":
                        await self._images.cache(job, memory).remember(image)
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
            await self._images.cache(job, memory).remember(image)
        return image

    async def _beneath(
        self, job: Job, tools: ImageTools, memory: Memory
    ) -> Beneath | None:
        """Ensure the image to build on: locks are taken from the whole to its parts."""
        prefix = tools.cut(job.spec)
        if prefix is None:
            return None
        part = tools.part(job, prefix)
        image = await self._images.ensure_job(part, memory)
        pinned = image.reference.with_digest(image.digest)
        if image.origin == "recalled" and not await tools.manifests.head_manifest(
            pinned
        ):
            # Remembered, and deleted since: a build on it could only fail.
            await self._images.forget(image, memory)
            image = await self._images.ensure_job(part, memory)
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
