"""Objects that are created once, streamed both ways, each step within a deadline."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError

from aweigh.backends.objects.errors import no_answer, status_of, translate
from aweigh.backends.objects.parts import Feed, PartSizes, first_part
from aweigh.bundle.store import Held
from aweigh.concurrency.retry import RetryBudget, retry
from aweigh.errors import BundleNotFoundError, StoreUnavailableError
from aweigh.events import Retried

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from obstore import GetOptions
    from obstore.store import ObjectStore as Handle

    from aweigh.backends.objects.deadlines import Deadlines
    from aweigh.backends.objects.place import Remote
    from aweigh.bundle.store import StoreUrl
    from aweigh.events import Listener

__all__ = ["ObjectStore"]

T = TypeVar("T")

_PIECE: Final = 1 << 20
_READ_ATTEMPTS: Final = 3


class ObjectStore:
    """A `aweigh.bundle.store.Store` on obstore."""

    def __init__(
        self, url: StoreUrl, place: Remote, *, listener: Listener, deadlines: Deadlines
    ) -> None:
        """Wire a store; `aweigh.backends.objects.open_store` does it from a URL."""
        self._url = url
        self._place = place
        self._listener = listener
        self._deadlines = deadlines
        self._budget = RetryBudget()

    @property
    def url(self) -> str:
        """The store's canonical URL; it holds no secret."""
        return str(self._url)

    async def head(self, name: str, /) -> Held | None:
        """Look at an object; None only when it is truly not there.

        Raises:
            StoreError: The store refused, or did not answer within the deadline.
        """
        handle = self._place.handle

        async def ask() -> Held | None:
            try:
                found = await handle.head_async(name)
            except FileNotFoundError:
                return None
            return Held(found["size"], found["last_modified"].timestamp())

        return await self._ask(f"look for {name}", ask, self._deadlines.request)

    async def get(self, name: str, /, *, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Iterate over an object's bytes, in pieces of about 1 MiB.

        A download that breaks off is taken up again where it stopped.

        Args:
            name: Its name below the store's URL.
            start: How many bytes to leave out; fewer than it has.

        Raises:
            BundleNotFoundError: The object is not there.
            StoreError: The store refused, or did not answer within the deadline.
        """
        offset = start
        for attempt in range(1, _READ_ATTEMPTS + 1):
            try:
                async with aclosing(self._get_from(name, offset)) as pieces:
                    async for piece in pieces:
                        offset += len(piece)
                        yield piece
                return
            except StoreUnavailableError as error:
                if attempt == _READ_ATTEMPTS or offset == start:
                    raise
                self._listener(
                    Retried(
                        what=f"get {name}", reason=str(error), attempt=attempt, delay=0
                    )
                )

    async def _get_from(self, name: str, offset: int) -> AsyncGenerator[bytes, None]:
        what = f"get {name}"
        handle = self._place.handle

        async def ask() -> AsyncIterator[bytes]:
            options: GetOptions = {"range": {"offset": offset}} if offset else {}
            try:
                result = await handle.get_async(name, options=options)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                raise self._not_found(name) from None
            return aiter(result.stream(min_chunk_size=_PIECE))

        stream = await self._ask(what, ask, self._deadlines.request)
        while True:
            try:
                async with asyncio.timeout(self._deadlines.piece):
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise no_answer(self._url, what, self._deadlines.piece) from None
            except (BaseError, OSError) as error:
                raise translate(error, self._url, what) from None
            yield bytes(piece)

    async def put(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> bool:
        """Create an object, which is visible to nobody until it is whole.

        Up to 16 MiB go out in one conditional request, which the store itself refuses
        when the object exists. obstore has no conditional uploads in parts, so for
        larger ones the store is asked first: two writers at the same moment may both
        succeed, which is harmless where, as in a bundle, equal names mean equal bytes.

        Args:
            name: Its name below the store's URL.
            chunks: Its bytes. An error of the iterator is passed on, and nothing is
                left behind.
            size: Bytes it may have at most; None when nobody knows.

        Returns:
            False when the object existed already; it is then left as it was.

        Raises:
            StoreError: The store refused, or did not answer within the deadline.

        Cancelling leaves no half-written object. Parts that were sent are given back
        first, for at most `Deadlines.abort` seconds.
        """
        head, rest = await first_part(chunks)
        if rest is None:
            return await self._create(name, head)
        if await self.head(name) is not None:
            return False
        await self._put_parts(name, Feed(head, rest), PartSizes.of(size))
        return True

    async def renew(
        self, name: str, chunks: AsyncIterator[bytes] | bytes, /, *, size: int | None
    ) -> None:
        """Put an object whether it is there or not: its age begins anew.

        Args:
            name: Its name below the store's URL.
            chunks: Its bytes, as for `put`.
            size: Bytes it may have at most; None when nobody knows.

        Raises:
            StoreError: The store refused, or did not answer within the deadline.

        Cancelling leaves what was there, or the new object.
        """
        head, rest = await first_part(chunks)
        if rest is not None:
            await self._put_parts(name, Feed(head, rest), PartSizes.of(size))
            return
        handle = self._place.handle

        async def ask() -> None:
            await handle.put_async(name, head, use_multipart=False)

        await self._ask(f"put {name}", ask, self._deadlines.transfer)

    async def _create(self, name: str, body: bytes) -> bool:
        handle = self._place.handle

        async def ask() -> bool:
            try:
                await handle.put_async(name, body, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            except BaseError as error:
                if _knows_conditions(error):
                    raise
                return await self._overwrite(handle, name, body)
            return True

        return await self._ask(f"put {name}", ask, self._deadlines.transfer)

    async def _overwrite(self, handle: Handle, name: str, body: bytes) -> bool:
        """Create in a store that knows no conditions: ask first."""
        if await self.head(name) is not None:
            return False
        await handle.put_async(name, body, use_multipart=False)
        return True

    async def _put_parts(self, name: str, feed: Feed, sizes: PartSizes) -> None:
        handle = self._place.parts

        async def send() -> None:
            await handle.put_async(
                name,
                aiter(feed),
                use_multipart=True,
                chunk_size=sizes.part,
                max_concurrency=sizes.at_once,
            )

        sending = asyncio.create_task(send())
        try:
            await asyncio.wait([sending])
            sending.result()
        except (BaseError, OSError) as error:
            if feed.failure is not None:
                raise feed.failure from None
            raise translate(error, self._url, f"put {name}") from None
        finally:
            if not sending.done():
                await self._abort(sending, feed)

    async def _abort(self, sending: asyncio.Task[None], feed: Feed) -> None:
        """Let obstore give back the parts it has sent.

        It does so when its source fails, and not when it is cancelled.
        """
        feed.stop()
        try:
            await asyncio.wait([sending], timeout=self._deadlines.abort)
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                # Looked at, so that asyncio does not call it a forgotten failure.
                if sending.done():
                    sending.exception()

    async def _ask(
        self, what: str, call: Callable[[], Awaitable[T]], seconds: float
    ) -> T:
        """Make a request that may be made again, each time within the deadline."""

        async def attempt() -> T:
            try:
                async with asyncio.timeout(seconds):
                    return await call()
            except TimeoutError:
                raise no_answer(self._url, what, seconds) from None
            except (BaseError, OSError) as error:
                raise translate(error, self._url, what) from None

        return await retry(
            attempt,
            what=what,
            deadline=time.monotonic() + seconds,
            listener=self._listener,
            retryable=_passes,
            budget=self._budget,
        )

    def _not_found(self, name: str) -> BundleNotFoundError:
        return BundleNotFoundError(
            f"{self._url}/{name} is not there",
            hint="upload the bundle again, or correct the URI",
        )


def _passes(error: BaseException) -> float | None:
    return 0.0 if isinstance(error, StoreUnavailableError) else None


def _knows_conditions(error: Exception) -> bool:
    """Whether a failed conditional request failed for another reason than that."""
    return not isinstance(error, NotSupportedError) and (
        status_of(error) != HTTPStatus.NOT_IMPLEMENTED
    )
