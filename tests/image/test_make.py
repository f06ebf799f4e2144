"""After a build: the index under its tag, and beside it what is in the image."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aweigh.errors import RegistryError
from aweigh.events import ImagePushed, Warned
from aweigh.image.attach import referrers_tag
from aweigh.image.build import BuildRequest, Built
from aweigh.image.job import Destination, Job
from aweigh.image.lock import Lock
from aweigh.image.make import ImageTools
from aweigh.image.snapshot import pure_snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Digest, Index, Platform, Reference
from aweigh.oci.manifest import OCI_INDEX, OCI_MANIFEST
from aweigh.testing.doubles import FakeBuilder, RecordingListener
from tests.image.referrers import DictReferrers

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")


@dataclass(slots=True)
class PinnedBuilder(FakeBuilder):
    """Knows what it installed."""

    async def build(self, request: BuildRequest, /) -> Built:
        """Make a manifest from a lock."""
        # No zero-argument super: slotted dataclasses are made twice.
        built = await FakeBuilder.build(self, request)
        lock = Lock(python="3.12", platform=request.platform, wheels=(), text="")
        return replace(built, lock=lock)


class Busy(DictReferrers):
    """Does something when a manifest is put under a path, before it is there."""

    def __init__(self, path: str, then: Callable[[], Awaitable[None]]) -> None:
        """Wait for this path."""
        super().__init__()
        self._path = path
        self._then = then

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put, and do it when this is the one."""
        if self._path in reference.target:
            await self._then()
        return await super().put_manifest(reference, content, media_type)


def job_of(*platforms: str, registry: str | None = "r.example/acme") -> Job:
    """Work out a job for platforms."""
    spec = ImageSpec("train", base="base.example/python:3")
    return Destination(registry=registry).job(
        spec,
        root=Path("/nowhere"),
        snapshot=pure_snapshot(spec),
        platforms=platforms,
        rebuild=False,
        upgrade=False,
    )


def tools_of(registry: DictReferrers, *, pinned: bool = True) -> ImageTools:
    """Return tools that build into a registry."""
    builder = PinnedBuilder(registry) if pinned else FakeBuilder(registry)
    return ImageTools(builder=builder, manifests=registry, referrers=registry)


async def entries(registry: DictReferrers, tag: Reference) -> tuple[Descriptor, ...]:
    """Return what an index has; nothing without one."""
    found = await registry.get_manifest(tag)
    if found is None:
        return ()
    assert isinstance(found[0], Index)
    return found[0].manifests


async def test_each_platform_is_described() -> None:
    """The document of each is attached to its own manifest."""
    registry, heard = DictReferrers(), RecordingListener()
    job = job_of("linux/amd64", "linux/arm64")
    digest, platforms = await tools_of(registry).make(job, heard)
    assert platforms == {AMD64, ARM64}
    found = await entries(registry, job.reference.with_digest(digest))
    for entry in found:
        (attached,) = await entries(registry, referrers_tag(job.reference, entry))
        assert attached.artifact_type == "application/vnd.cyclonedx+json"
    assert len(heard.of(ImagePushed)) == 1
    assert heard.of(Warned) == []


@pytest.mark.parametrize(
    "tools",
    [
        lambda registry: tools_of(registry, pinned=False),
        lambda registry: replace(tools_of(registry), referrers=None),
    ],
)
async def test_what_nobody_knows_is_not_described(
    tools: Callable[[DictReferrers], ImageTools],
) -> None:
    """Without a lock, or a place for it, there is only the image."""
    registry = DictReferrers()
    await tools(registry).make(job_of("linux/amd64"), RecordingListener())
    assert registry.blobs == {}


async def test_a_failure_to_describe_is_a_warning() -> None:
    """The image is built all the same."""

    async def refuse() -> None:
        raise RegistryError("no tags like that", hint="-", registry="r.example")

    registry, heard = Busy("sha256-", refuse), RecordingListener()
    job = job_of("linux/amd64")
    digest, _ = await tools_of(registry).make(job, heard)
    assert await entries(registry, job.reference.with_digest(digest))
    (warned,) = heard.of(Warned)
    assert "r.example/acme/train has no list of its contents" in warned.message
    assert "no tags like that" in warned.message


async def test_a_failure_to_publish_ends_the_description() -> None:
    """The error is the publisher's, and nothing goes on in the background."""

    async def refuse() -> None:
        await asyncio.sleep(0)
        raise RegistryError("no space", hint="-", registry="r.example")

    job = job_of("linux/amd64")
    registry = Busy(job.reference.tag, refuse)
    # The builder's own tag begins in the same way.
    builder = PinnedBuilder(DictReferrers())
    builder.manifests.stored = registry.stored
    tools = ImageTools(builder=builder, manifests=registry, referrers=registry)
    with pytest.raises(RegistryError, match="no space"):
        await tools.make(job, RecordingListener())
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_entry_that_is_lost_after_it_was_seen_is_put_back() -> None:
    """Another writer had read the tag before we wrote it, and wrote after us."""
    theirs = Descriptor(
        media_type=OCI_MANIFEST, digest=Digest.of(b"theirs"), size=1, platform=ARM64
    )
    job = job_of("linux/amd64")

    async def overwrite() -> None:
        content = Index(manifests=(theirs,)).to_bytes()
        await registry.put_manifest(job.reference, content, OCI_INDEX)

    # The list of attached documents is written when the index has been.
    registry = Busy("sha256-", overwrite)
    digest, platforms = await tools_of(registry).make(job, RecordingListener())
    assert platforms == {AMD64, ARM64}
    found = await entries(registry, job.reference)
    assert {entry.platform for entry in found} == {AMD64, ARM64}
    current = await registry.head_manifest(job.reference)
    assert current is not None
    assert current.digest == digest
