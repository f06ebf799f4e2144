"""Image and bundle side by side: overlap, errors, cancellation, one transaction."""

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from aweigh.bundle.upload import Uploaded
from aweigh.flow.prepare import prepare
from aweigh.image.image import Image
from aweigh.memory import Memory, Record, Table
from aweigh.testing.doubles import DictMemory

if TYPE_CHECKING:
    from aweigh.bundle.bundle import Bundle
    from aweigh.tree.scan import Tree

IMAGE = cast("Image", object())
BUNDLE = cast("Bundle", object())
TREE = cast("Tree", object())
UPLOADED = Uploaded(BUNDLE, [], TREE)


def record(table: Table) -> Record:
    """Return some record of a table."""
    return Record(
        table=table, key="k", value=b"v", created_at=0, verified_at=0, expires_at=9
    )


async def image_branch(memory: Memory) -> Image:
    """Ensure an image at once."""
    await memory.remember([record(Table.IMAGES)])
    return IMAGE


async def bundle_branch(memory: Memory) -> Uploaded:
    """Upload a bundle at once."""
    await memory.remember([record(Table.BUNDLES)])
    return UPLOADED


async def test_both_are_remembered_in_one_transaction() -> None:
    """Two branches, one write."""
    memory = DictMemory()
    prepared = await prepare(image_branch, bundle_branch, memory)
    ready = prepared.ready
    assert (ready.image, ready.bundle) == (IMAGE, BUNDLE)
    assert prepared.tree is TREE
    assert ready.seconds > 0
    assert [[row.table for row in write] for write in memory.writes] == [
        [Table.IMAGES, Table.BUNDLES]
    ]


async def test_the_branches_overlap() -> None:
    """Each branch goes on only once the other has begun."""
    image_begun, bundle_begun = asyncio.Event(), asyncio.Event()

    async def image(memory: Memory) -> Image:
        image_begun.set()
        await bundle_begun.wait()
        return await image_branch(memory)

    async def bundle(memory: Memory) -> Uploaded:
        bundle_begun.set()
        await image_begun.wait()
        return await bundle_branch(memory)

    async with asyncio.timeout(5):
        await prepare(image, bundle, DictMemory())


async def test_first_failure_cancels_the_other_and_is_the_error() -> None:
    """The caller sees the branch's own error, and the other branch has ended."""
    ended = asyncio.Event()

    async def image(_memory: Memory) -> Image:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return IMAGE

    async def bundle(_memory: Memory) -> Uploaded:
        await asyncio.sleep(0)
        raise OSError("disk") from ValueError("why")

    with pytest.raises(OSError, match="disk") as caught:
        await prepare(image, bundle, DictMemory())
    assert ended.is_set()
    assert isinstance(caught.value.__cause__, ValueError)


async def test_what_one_verified_is_remembered_when_the_other_fails() -> None:
    """A found image is not forgotten because a directory was unreadable."""
    memory = DictMemory()
    remembered = asyncio.Event()

    async def image(deferred: Memory) -> Image:
        result = await image_branch(deferred)
        remembered.set()
        return result

    async def bundle(_memory: Memory) -> Uploaded:
        await remembered.wait()
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await prepare(image, bundle, memory)
    assert list(memory.records) == [(Table.IMAGES, "k")]


async def test_both_failures_come_as_a_group() -> None:
    """When both fail, neither error is lost."""

    async def image(_memory: Memory) -> Image:
        raise ValueError("image")

    async def bundle(_memory: Memory) -> Uploaded:
        raise OSError("bundle")

    with pytest.raises(ExceptionGroup) as caught:
        await prepare(image, bundle, DictMemory())
    assert {type(error) for error in caught.value.exceptions} == {ValueError, OSError}


async def test_cancelled_caller_ends_both_and_keeps_what_was_verified() -> None:
    """Cancellation reaches both branches; a finished one is still remembered."""
    memory = DictMemory()
    remembered, ended = asyncio.Event(), asyncio.Event()

    async def image(deferred: Memory) -> Image:
        result = await image_branch(deferred)
        remembered.set()
        return result

    async def bundle(_memory: Memory) -> Uploaded:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return UPLOADED

    task = asyncio.create_task(prepare(image, bundle, memory))
    await remembered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert list(memory.records) == [(Table.IMAGES, "k")]


async def test_late_writes_of_a_shared_flight_pass_through() -> None:
    """Work that goes on for somebody else after the flush is remembered at once."""
    memory = DictMemory()
    kept: list[Memory] = []

    async def image(deferred: Memory) -> Image:
        kept.append(deferred)
        return await image_branch(deferred)

    await prepare(image, bundle_branch, memory)
    await image_branch(kept[0])
    assert len(memory.writes) == 2


async def test_deferred_rows_are_recalled_and_forgotten() -> None:
    """Between remembering and the flush, a branch sees its own rows."""
    memory = DictMemory()

    async def image(deferred: Memory) -> Image:
        await image_branch(deferred)
        assert await deferred.recall(Table.IMAGES, "k") == record(Table.IMAGES)
        await deferred.forget(Table.IMAGES, ["k"])
        assert await deferred.recall(Table.IMAGES, "k") is None
        return IMAGE

    await prepare(image, bundle_branch, memory)
    assert list(memory.records) == [(Table.BUNDLES, "k")]
