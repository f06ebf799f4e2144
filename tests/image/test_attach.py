"""Attached documents are found through the image, whatever the registry can do."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

import aweigh.image.attach as attaching
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.errors import RegistryError
from aweigh.events import Warned
from aweigh.image.attach import attach, attach_contents, referrers_tag
from aweigh.image.lock import Lock
from aweigh.oci import (
    Artifact,
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
    Reference,
    describe,
)
from aweigh.oci.artifact import EMPTY
from aweigh.oci.manifest import OCI_INDEX, OCI_MANIFEST
from aweigh.testing import FakeRegistry, RecordingListener, answers, hangs
from tests.backends.registry_support import Nobody, hold_image
from tests.image.referrers import DictReferrers

LOCK = Lock(python="3.12", platform=Platform.parse("linux/amd64"), wheels=(), text="")
THEIRS = Descriptor(
    media_type=OCI_MANIFEST,
    digest=Digest.of(b"signature"),
    size=9,
    artifact_type="application/vnd.signature",
    annotations={"by": "them"},
)


@pytest.fixture(params=[False, True], ids=["tag", "api"])
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[FakeRegistry]:
    """Return a registry without and with the referrers API."""
    async with FakeRegistry(referrers=request.param) as fake:
        yield fake


@pytest.fixture
async def plain() -> AsyncIterator[FakeRegistry]:
    """Return a registry without the referrers API."""
    async with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def heard() -> RecordingListener:
    """Return a listener."""
    return RecordingListener()


@pytest.fixture
async def client(heard: RecordingListener) -> AsyncIterator[RegistryClient]:
    """Return a client of all registries."""
    async with open_registry(Nobody(), listener=heard) as client:
        yield client


async def held(
    fake: FakeRegistry, client: RegistryClient
) -> tuple[Reference, Descriptor]:
    """Let a registry hold an image; return its reference and descriptor."""
    hold_image(fake)
    image = Reference.parse(f"{fake.host}/team/app:1")
    found = await client.head_manifest(image)
    assert found is not None
    return image, found


def about(subject: Descriptor, text: str = "hi") -> Artifact:
    """Describe a document about an image."""
    return Artifact(
        media_type="text/x", content=text.encode(), title="a.txt", subject=subject
    )


async def listed(client: RegistryClient, tag: Reference) -> tuple[Descriptor, ...]:
    """Return the entries of the list under a tag; none without one."""
    found = await client.get_manifest(tag)
    if found is None:
        return ()
    assert isinstance(found[0], Index)
    return found[0].manifests


async def test_the_document_is_held_with_its_manifest(
    fake: FakeRegistry, client: RegistryClient
) -> None:
    """Blobs first, then the manifest under its digest; it is an artifact's."""
    image, subject = await held(fake, client)
    artifact = about(subject)
    await attach(client, image, artifact)

    for blob in (EMPTY, artifact.layer):
        assert fake.blob("team/app", str(blob.digest)) is not None
    found = await client.get_manifest(image.with_digest(artifact.entry.digest))
    assert found is not None
    assert isinstance(found[0], Manifest)
    assert found[2] == artifact.to_bytes()


async def test_a_registry_that_lists_gets_no_tag() -> None:
    """What answers with OCI-Subject is asked, not told."""
    async with (
        FakeRegistry(referrers=True) as fake,
        open_registry(Nobody(), listener=RecordingListener()) as client,
    ):
        image, subject = await held(fake, client)
        await attach(client, image, about(subject))
        assert not fake.requests("GET", "/manifests/sha256-")
        assert not await listed(client, referrers_tag(image, subject))


async def test_without_the_api_a_tag_lists_it_beside_others(
    plain: FakeRegistry, client: RegistryClient
) -> None:
    """What somebody else attached stays, with its type and annotations."""
    image, subject = await held(plain, client)
    tag = referrers_tag(image, subject)
    theirs = Index(manifests=(THEIRS,), annotations={"kept": "1"})
    await client.put_manifest(tag, theirs.to_bytes(), OCI_INDEX)

    await attach(client, image, about(subject))

    assert tag.tag == f"sha256-{subject.digest.hex}"
    entries = await listed(client, tag)
    assert {one.digest: one for one in entries} == {
        THEIRS.digest: THEIRS,
        about(subject).entry.digest: about(subject).entry,
    }
    found = await client.get_manifest(tag)
    assert found is not None
    assert found[0].annotations == {"kept": "1"}


async def test_attaching_again_writes_nothing_new(
    plain: FakeRegistry, client: RegistryClient
) -> None:
    """Neither a second entry nor a new list."""
    image, subject = await held(plain, client)
    await attach(client, image, about(subject))
    await attach(client, image, about(subject))
    assert len(await listed(client, referrers_tag(image, subject))) == 1
    assert len(plain.requests("PUT", "/manifests/sha256-")) == 1


async def test_two_writers_at_the_same_time_are_both_listed(
    plain: FakeRegistry, client: RegistryClient
) -> None:
    """Whose list was overwritten sees it and writes again."""
    image, subject = await held(plain, client)
    documents = [about(subject, f"document {number}") for number in range(5)]
    await asyncio.gather(*(attach(client, image, one) for one in documents))
    entries = await listed(client, referrers_tag(image, subject))
    assert {one.digest for one in entries} == {one.entry.digest for one in documents}


class Overwritten(DictReferrers):
    """A registry whose lists somebody else empties after each of our writes."""

    writes = 0

    async def put_manifest(
        self, reference: Reference, _content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put an empty list in place of theirs."""
        self.writes += 1
        empty = Index(manifests=()).to_bytes()
        return await super().put_manifest(reference, empty, media_type)


async def test_an_endless_race_ends_in_an_error() -> None:
    """After five lost rounds the caller hears about it."""
    registry = Overwritten()
    subject = describe(b"{}", OCI_MANIFEST)
    with pytest.raises(RegistryError, match="overwritten by somebody else 5 times"):
        await attach(registry, Reference.parse("r.example/t:1"), about(subject))
    assert registry.writes == 5


async def test_a_tag_that_is_no_list_is_left_alone(
    plain: FakeRegistry, client: RegistryClient
) -> None:
    """It is somebody's image; the error says which tag."""
    image, subject = await held(plain, client)
    tag = referrers_tag(image, subject)
    hold_image(plain, tag=tag.tag)
    before = await client.head_manifest(tag)
    with pytest.raises(RegistryError, match="is no list of attached documents"):
        await attach(client, image, about(subject))
    assert await client.head_manifest(tag) == before


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
async def test_a_registry_that_refuses_costs_a_warning(
    plain: FakeRegistry,
    client: RegistryClient,
    heard: RecordingListener,
    status: int,
) -> None:
    """The image is complete without; one failure does not stop the others."""
    image, subject = await held(plain, client)
    other = replace(subject, digest=Digest.of(b"other"))
    plain.fail(answers(status), method="PUT", path="manifests/sha256-", times=9)
    await attach_contents(client, image, [(subject, LOCK), (other, LOCK)], heard)
    warned = heard.of(Warned)
    assert len(warned) == 2
    assert all("has no list of its contents" in one.message for one in warned)


async def test_a_registry_that_hangs_is_not_waited_for(
    plain: FakeRegistry,
    client: RegistryClient,
    heard: RecordingListener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a while the warning says so."""
    image, subject = await held(plain, client)
    monkeypatch.setattr(attaching, "_SECONDS", 0.2)
    plain.fail(hangs(), method="POST")
    await attach_contents(client, image, [(subject, LOCK)], heard)
    (warned,) = heard.of(Warned)
    assert "no answer within" in warned.message


async def test_contents_are_listed_by_the_api(heard: RecordingListener) -> None:
    """Somebody who knows the image's digest finds the document."""
    async with (
        FakeRegistry(referrers=True) as fake,
        open_registry(Nobody(), listener=heard) as client,
    ):
        image, subject = await held(fake, client)
        await attach_contents(client, image, [(subject, LOCK)], heard)
        assert heard.of(Warned) == []
        reader, writer = await asyncio.open_connection(*fake.host.split(":"))
        path = f"/v2/team/app/referrers/{subject.digest}"
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
    (entry,) = json.loads(body)["manifests"]
    assert entry["artifactType"] == "application/vnd.cyclonedx+json"
    assert describe(b"{}", OCI_MANIFEST).media_type == entry["mediaType"]


async def test_blobs_that_are_refused_leave_nothing_behind(
    plain: FakeRegistry, client: RegistryClient, heard: RecordingListener
) -> None:
    """Both are sent at once, and the first refusal is told."""
    image, subject = await held(plain, client)
    plain.fail(answers(403), method="POST", times=9)
    await attach_contents(client, image, [(subject, LOCK)], heard)
    assert len(heard.of(Warned)) == 1
    assert plain.requests("PUT", "/manifests/") == []
