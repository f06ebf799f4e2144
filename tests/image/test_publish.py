"""One tag, always an index, whoever else writes it at the same time."""

import pytest

from aweigh.errors import RegistryError
from aweigh.image.publish import publish
from aweigh.oci import (
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
    Reference,
    parse_manifest,
)
from aweigh.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from aweigh.testing.doubles import DictManifests

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
TAG = Reference.parse("r.example/t:aw-1")


async def pushed(
    manifests: DictManifests, seed: str, *, docker: bool = False
) -> Digest:
    """Push a manifest as an engine would."""
    config = Descriptor(
        media_type=DOCKER_CONFIG if docker else OCI_CONFIG,
        digest=Digest.of(seed.encode()),
        size=7,
    )
    layer = Descriptor(
        media_type=DOCKER_LAYER_GZIP if docker else OCI_LAYER_GZIP,
        digest=Digest.of(b"layer" + seed.encode()),
        size=9,
    )
    kind = DOCKER_MANIFEST if docker else OCI_MANIFEST
    content = Manifest(config=config, layers=(layer,), media_type=kind).to_bytes()
    made = await manifests.put_manifest(TAG.with_tag(seed), content, kind)
    return made.digest


async def test_one_platform_is_an_index_too() -> None:
    """The tag names an index whose one entry is what the builder pushed."""
    manifests = DictManifests()
    digest = await pushed(manifests, "amd64")
    descriptor, index = await publish(manifests, TAG, {AMD64: digest})
    assert descriptor.media_type == OCI_INDEX
    assert [(m.digest, m.platform) for m in index.manifests] == [(digest, AMD64)]
    found = await manifests.get_manifest(TAG)
    assert found is not None
    assert found[1].digest == descriptor.digest


async def test_docker_manifests_become_oci_manifests_over_the_same_blobs() -> None:
    """What an engine pushed in Docker's media types is offered in OCI's."""
    manifests = DictManifests()
    digest = await pushed(manifests, "amd64", docker=True)
    _, index = await publish(manifests, TAG, {AMD64: digest})
    (entry,) = index.manifests
    assert entry.media_type == OCI_MANIFEST
    found = await manifests.get_manifest(TAG.with_digest(entry.digest))
    assert found is not None
    document = found[0]
    assert isinstance(document, Manifest)
    assert document.config.media_type == OCI_CONFIG
    assert [layer.media_type for layer in document.layers] == [OCI_LAYER_GZIP]
    assert document.config.digest == Digest.of(b"amd64")


async def test_pushed_index_gives_its_entry_for_the_platform() -> None:
    """Engines on the containerd store push an index; its one image is taken."""
    manifests = DictManifests()
    inner = await pushed(manifests, "amd64")
    entry = Descriptor(media_type=OCI_MANIFEST, digest=inner, size=1, platform=AMD64)
    content = Index(manifests=(entry,)).to_bytes()
    outer = await manifests.put_manifest(TAG.with_tag("outer"), content, OCI_INDEX)
    _, index = await publish(manifests, TAG, {AMD64: outer.digest})
    assert [m.digest for m in index.manifests] == [inner]
    with pytest.raises(RegistryError, match="no image for linux/arm64"):
        await publish(manifests, TAG, {ARM64: outer.digest})


async def test_adding_a_platform_keeps_the_others() -> None:
    """The second platform joins the first; building one again replaces it."""
    manifests = DictManifests()
    amd64 = await pushed(manifests, "amd64")
    arm64 = await pushed(manifests, "arm64")
    newer = await pushed(manifests, "newer")
    await publish(manifests, TAG, {AMD64: amd64})
    _, both = await publish(manifests, TAG, {ARM64: arm64})
    assert both.platforms == {AMD64, ARM64}
    _, index = await publish(manifests, TAG, {AMD64: newer})
    assert {m.platform: m.digest for m in index.manifests} == {
        AMD64: newer,
        ARM64: arm64,
    }


class Contested(DictManifests):
    """Somebody else overwrites the tag right after our first writes."""

    def __init__(self, rival: Index, times: int) -> None:
        super().__init__()
        self.rival = rival
        self.times = times

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put, then lose the race while it lasts."""
        made = await super().put_manifest(reference, content, media_type)
        if reference == TAG and self.times:
            self.times -= 1
            rival = self.rival.to_bytes()
            await super().put_manifest(TAG, rival, OCI_INDEX)
        return made


async def test_lost_race_is_noticed_and_merged() -> None:
    """Two writers add different platforms at once: both are there in the end."""
    rival_entry = Descriptor(
        media_type=OCI_MANIFEST, digest=Digest.of(b"rival"), size=1, platform=ARM64
    )
    manifests = Contested(Index(manifests=(rival_entry,)), times=2)
    digest = await pushed(manifests, "amd64")
    _, index = await publish(manifests, TAG, {AMD64: digest})
    assert index.platforms == {AMD64, ARM64}


async def test_endless_race_ends_in_an_error() -> None:
    """After five lost rounds the caller hears about it."""
    manifests = Contested(Index(manifests=()), times=99)
    digest = await pushed(manifests, "amd64")
    with pytest.raises(RegistryError, match="overwritten"):
        await publish(manifests, TAG, {AMD64: digest})
    assert manifests.times == 94


async def test_vanished_push_is_an_error() -> None:
    """A manifest that the builder claims to have pushed must be there."""
    with pytest.raises(RegistryError, match="not there"):
        await publish(DictManifests(), TAG, {AMD64: Digest.of(b"nothing")})


async def test_foreign_manifest_under_the_tag_is_replaced() -> None:
    """A tag that names a single manifest becomes an index."""
    manifests = DictManifests()
    digest = await pushed(manifests, "aw-1")
    _, index = await publish(manifests, TAG, {AMD64: digest})
    assert index.platforms == {AMD64}
    content, kind = manifests.stored[f"{TAG.name}@aw-1"]
    assert isinstance(parse_manifest(content, kind), Index)


async def test_what_is_there_is_not_written_again() -> None:
    """An equal build moves no tag; somebody's Docker list becomes an OCI index."""
    manifests = DictManifests()
    digest = await pushed(manifests, "amd64")
    descriptor, index = await publish(manifests, TAG, {AMD64: digest})
    manifests.put_manifest = refused  # type: ignore[method-assign]
    assert await publish(manifests, TAG, {AMD64: digest}) == (descriptor, index)
    del manifests.put_manifest
    docker = Index(manifests=index.manifests, media_type=DOCKER_MANIFEST_LIST)
    await manifests.put_manifest(TAG, docker.to_bytes(), DOCKER_MANIFEST_LIST)
    assert (await publish(manifests, TAG, {AMD64: digest}))[0] == descriptor


async def refused(*_: object) -> Descriptor:
    """Fail the test."""
    pytest.fail("nothing was to be written")
