"""Remembered images: when a remembered answer counts, and when it is asked again.

**fresh** (verified less than `fresh_for` ago): the answer, no network. **stale** (less
than `ttl` ago): the holder is asked for exactly this digest; Present renews the row,
Absent drops it, no answer leaves it in force with a warning. **expired**: a miss. Ages
count from the holder's last answer, never from our last look.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from aweigh.events import Warned
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.image.image import Image
from aweigh.memory import Record, Table, record_key
from aweigh.oci import Descriptor
from aweigh.oci.descriptor import OCI_INDEX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.events import Listener
    from aweigh.image.checker import Checker, Verdict
    from aweigh.memory import Memory
    from aweigh.oci import Digest, Platform, Reference
    from aweigh.settings import OnUnknown

__all__ = ["ImagePolicy", "PersistentCacheChecker", "image_key"]

# Raise it when a spec's digest no longer says what the image will contain.
PLAN_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePolicy:
    """How far a remembered image is trusted.

    Attributes:
        fresh_for: Seconds for which it is an answer without asking.
        ttl: Seconds for which it may be an answer at all; 0 remembers nothing.
        offline: Never ask; a stale row is an answer too.
        on_unknown: What to do when nobody can say.
        revalidate_within: Seconds that asking about a stale row may take.
    """

    fresh_for: float
    ttl: float
    offline: bool = False
    on_unknown: OnUnknown = "fail"
    revalidate_within: float = 2.0


def image_key(scope: str, reference: Reference) -> str:
    """Name the row of an image: who holds it, its repository and its tag.

    The tag stands for the spec's digest. Which platforms were verified is part of the
    value: a row answers for each subset of them.
    """
    return record_key("image", PLAN_VERSION, scope, reference.name, reference.tag)


class PersistentCacheChecker:
    """Answers from memory: Present or Unknown, never Absent."""

    name = "cache"

    def __init__(
        self,
        memory: Memory,
        *,
        scope: str,
        spec_digest: Digest,
        policy: ImagePolicy,
        source: Callable[[], Awaitable[Checker]],
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        """Prepare to answer for one spec.

        Args:
            memory: Where rows are.
            scope: Who holds the images: ``registry``, or which engine or layout.
            spec_digest: The whole digest behind the tag; a row of another spec whose
                digest begins alike is a miss.
            policy: How far rows are trusted.
            source: Opens the checker that asks the holder; for stale rows only.
            listener: Hears when an unverified row is used as the answer.
            clock: Seconds since the epoch.
        """
        self._memory = memory
        self._scope = scope
        self._spec_digest = spec_digest
        self._policy = policy
        self._source = source
        self._listener = listener
        self._clock = clock

    async def fresh(
        self, reference: Reference, platforms: frozenset[Platform]
    ) -> Present | None:
        """Answer if that takes no question to anybody, else None."""
        row = await self._recall(reference)
        if row is None or not platforms <= row.platforms:
            return None
        return _present(row) if self._is_fresh(row) else None

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Answer from a fresh row, or from a stale one that its holder confirms."""
        row = await self._recall(reference)
        if row is None:
            return Unknown("not remembered")
        if not platforms <= row.platforms:
            missing = ", ".join(sorted(map(str, platforms - row.platforms)))
            return Unknown(f"remembered without {missing}")
        if self._is_fresh(row):
            return _present(row)
        return await self._revalidate(row)

    async def remember(self, image: Image) -> None:
        """Keep an image that its holder has just confirmed or received."""
        if self._policy.ttl <= 0:
            return
        record = Record(
            table=Table.IMAGES,
            key=image_key(self._scope, image.reference),
            value=image.to_value(self._spec_digest),
            created_at=image.verified_at,
            verified_at=image.verified_at,
            expires_at=image.verified_at + self._policy.ttl,
        )
        await self._memory.remember([record])

    async def _recall(self, reference: Reference) -> Image | None:
        if self._policy.ttl <= 0:
            return None
        record = await self._memory.recall(
            Table.IMAGES, image_key(self._scope, reference)
        )
        if record is None or self._clock() - record.verified_at > self._policy.ttl:
            return None
        row = Image.from_value(
            record.value, spec_digest=self._spec_digest, verified_at=record.verified_at
        )
        # People delete directories, and looking costs no more than recalling did.
        file = None if row is None else row.file
        if file is not None and not await asyncio.to_thread(file.is_file):
            await self._memory.forget(Table.IMAGES, [record.key])
            return None
        return row

    def _is_fresh(self, row: Image) -> bool:
        # A row of the future was made by a clock that is wrong, or read by one.
        age = self._clock() - row.verified_at
        return self._policy.offline or 0 <= age <= self._policy.fresh_for

    async def _revalidate(self, row: Image) -> Verdict:
        match await self._ask(row):
            case Present():
                renewed = replace(row, verified_at=self._clock())
                await self.remember(renewed)
                return _present(renewed)
            case Absent(reason):
                key = image_key(self._scope, row.reference)
                await self._memory.forget(Table.IMAGES, [key])
                return Unknown(f"it was remembered and is gone: {reason}")
            case Unknown(reason, hint):
                self._listener(
                    Warned(
                        message=f"{row} could not be verified ({reason}); "
                        "answered from memory",
                        hint=hint or "it is asked again next time",
                    )
                )
                return _present(row)
            case unreachable:
                assert_never(unreachable)

    async def _ask(self, row: Image) -> Verdict:
        """Ask the holder for exactly this digest, for a short time only."""
        try:
            async with asyncio.timeout(self._policy.revalidate_within):
                source = await self._source()
                # By digest nothing but existence can have changed.
                pinned = row.reference
                if row.location != "engine":
                    pinned = pinned.with_digest(row.digest)
                verdict = await source.check(pinned, frozenset())
        except TimeoutError:
            return Unknown(f"no answer within {self._policy.revalidate_within:g} s")
        if isinstance(verdict, Present) and verdict.descriptor.digest != row.digest:
            return Absent(f"{pinned} is {verdict.descriptor.digest} now")
        return verdict


def _present(image: Image) -> Present:
    descriptor = Descriptor(media_type=OCI_INDEX, digest=image.digest, size=0)
    return Present(descriptor, image.platforms, image.verified_at)
