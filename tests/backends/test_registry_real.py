"""The registry client against real registries: one open, one with TLS."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import pytest

from aweigh.backends.credentials import DockerCredentials
from aweigh.backends.registry import RegistryChecker, RegistryClient, open_registry
from aweigh.errors import AuthenticationError, RegistryError, SettingsError
from aweigh.events import BlobPushed, Event, PushProgressed, silent
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.oci import Descriptor, Digest, Index, Manifest, Reference
from aweigh.oci.manifest import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from tests.backends.registry_support import AMD64, ARM64, CONFIG, blob
from tests.conftest import AccessLog
from tests.services import Services


@asynccontextmanager
async def client(tmp_path: Path, **options: object) -> AsyncIterator[RegistryClient]:
    """Open a client whose credentials come from below ``tmp_path``."""
    credentials = DockerCredentials({"PATH": ""}, tmp_path)
    async with open_registry(
        credentials,
        **({"listener": silent} | options),  # type: ignore[arg-type]
    ) as opened:
        yield opened


def methods_of(access_log: AccessLog, repository: str) -> list[str]:
    """Return the methods of the requests for a repository, pings included."""
    path = repository.partition("/")[2]
    seen = [line.split()[:2] for line in access_log.lines()]
    return [method for method, url in seen if path in url or url == "/v2/"]


async def push_image(
    registry: RegistryClient,
    reference: Reference,
    *,
    config_type: str = OCI_CONFIG,
    manifest_type: str = OCI_MANIFEST,
) -> Descriptor:
    """Push a one-layer image for amd64 under its tag."""
    layer = gzip.compress(reference.repository.encode(), mtime=0)
    for described, content in (
        (blob(CONFIG), CONFIG),
        (blob(layer), layer),
    ):
        await registry.push_blob(reference, described, content)
    manifest = Manifest(
        config=blob(CONFIG, config_type),
        layers=(blob(layer),),
        media_type=manifest_type,
    )
    return await registry.put_manifest(reference, manifest.to_bytes(), manifest_type)


async def push_index(
    registry: RegistryClient, reference: Reference, index_type: str = OCI_INDEX
) -> Descriptor:
    """Push an index that has the same image for amd64 only."""
    single = await push_image(registry, reference)
    entry = Descriptor(
        media_type=single.media_type,
        digest=single.digest,
        size=single.size,
        platform=AMD64,
    )
    index = Index(manifests=(entry,), media_type=index_type)
    return await registry.put_manifest(reference, index.to_bytes(), index_type)


@pytest.mark.parametrize(
    ("config_type", "manifest_type"),
    [(OCI_CONFIG, OCI_MANIFEST), (DOCKER_CONFIG, DOCKER_MANIFEST)],
)
async def test_a_manifest_comes_back_as_it_went(
    tmp_path: Path, repository: str, config_type: str, manifest_type: str
) -> None:
    """Both kinds of single manifests are written, asked for and read."""
    reference = Reference.parse(f"{repository}:one")
    async with client(tmp_path) as registry:
        put = await push_image(
            registry, reference, config_type=config_type, manifest_type=manifest_type
        )
        assert await registry.head_manifest(reference) == put
        assert await registry.head_manifest(reference.with_digest(put.digest)) == put
        got = await registry.get_manifest(reference)
    assert got is not None
    document, descriptor, content = got
    assert isinstance(document, Manifest)
    assert (descriptor, Digest.of(content)) == (put, put.digest)


@pytest.mark.parametrize("index_type", [OCI_INDEX, DOCKER_MANIFEST_LIST])
async def test_an_index_comes_back_as_it_went(
    tmp_path: Path, repository: str, index_type: str
) -> None:
    """Both kinds of indexes are written, asked for and read."""
    reference = Reference.parse(f"{repository}:many")
    async with client(tmp_path) as registry:
        put = await push_index(registry, reference, index_type)
        assert await registry.head_manifest(reference) == put
        got = await registry.get_manifest(reference)
    assert got is not None
    assert isinstance(got[0], Index)
    assert got[0].platforms == {AMD64}


async def test_absence_is_one_head(
    tmp_path: Path, repository: str, access_log: AccessLog
) -> None:
    """A registry's own 404 needs no second request, and no ping before the first."""
    reference = Reference.parse(f"{repository}:none")
    async with client(tmp_path) as registry:
        assert await registry.head_manifest(reference) is None
        assert methods_of(access_log, repository) == ["HEAD"]
        assert await registry.get_manifest(reference) is None


async def test_blobs_are_pushed_once_mounted_and_read(
    tmp_path: Path, repository: str, access_log: AccessLog
) -> None:
    """Bytes move once: the second push finds them, a neighbour mounts them."""
    events: list[Event] = []
    content = bytes(range(256)) * 12_000
    file = tmp_path / "layer"
    file.write_bytes(content)
    here, there = Reference.parse(repository), Reference.parse(f"{repository}/other")
    layer = blob(content)
    async with client(tmp_path, listener=events.append) as registry:
        assert not await registry.has_blob(here, layer.digest)
        assert await registry.push_blob(here, layer, file, name="code")
        assert not await registry.push_blob(here, layer, file, name="code")
        assert await registry.has_blob(here, layer.digest)
        access_log.mark()
        assert not await registry.push_blob(
            there, layer, file, mount_from=here.repository, name="code"
        )
        methods = methods_of(access_log, repository)
        assert methods == ["HEAD", "POST"]
        async with aclosing(registry.stream_blob(there, layer)) as pieces:
            assert b"".join([piece async for piece in pieces]) == content
        assert await registry.read_blob(there, layer) == content
    assert [e.reused for e in events if isinstance(e, BlobPushed)] == [
        False,
        True,
        True,
    ]
    steps = [e for e in events if isinstance(e, PushProgressed)]
    assert [steps[-1].done, steps[-1].total] == [len(content)] * 2


async def test_an_unknown_neighbour_still_means_an_upload(
    tmp_path: Path, repository: str
) -> None:
    """The 202 that answers a mount that cannot be is the upload."""
    content = b"not there yet"
    async with client(tmp_path) as registry:
        assert await registry.push_blob(
            Reference.parse(repository), blob(content), content, mount_from="t/nobody"
        )


async def test_an_empty_blob_is_pushed(tmp_path: Path, repository: str) -> None:
    """Zero bytes are content too, in memory and in a file."""
    file = tmp_path / "empty"
    file.touch()
    async with client(tmp_path) as registry:
        for name, source in (("a", b""), ("b", file)):
            reference = Reference.parse(f"{repository}/{name}")
            assert await registry.push_blob(reference, blob(b""), source)
            assert await registry.read_blob(reference, blob(b"")) == b""


async def test_a_manifest_without_its_blobs_is_refused(
    tmp_path: Path, repository: str
) -> None:
    """The registry's code and the next step are in the error."""
    manifest = Manifest(config=blob(CONFIG), layers=())
    reference = Reference.parse(f"{repository}:broken")
    async with client(tmp_path) as registry:
        with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN") as caught:
            await registry.put_manifest(reference, manifest.to_bytes(), OCI_MANIFEST)
    assert "push its layers" in caught.value.hint


async def test_deleting_makes_absent(tmp_path: Path, repository: str) -> None:
    """A deleted manifest is gone; deleting it again is no fault."""
    reference = Reference.parse(f"{repository}:gone")
    async with client(tmp_path) as registry:
        put = await push_image(registry, reference)
        pinned = reference.with_digest(put.digest)
        await registry.delete_manifest(pinned)
        assert await registry.head_manifest(pinned) is None
        await registry.delete_manifest(pinned)


async def test_the_probe_leaves_no_upload(
    tmp_path: Path, repository: str, access_log: AccessLog
) -> None:
    """`can_push` opens an upload and cancels it."""
    async with client(tmp_path) as registry:
        assert await registry.can_push(Reference.parse(repository))
    assert methods_of(access_log, repository) == ["POST", "DELETE"]


async def test_the_checker_wants_every_platform(
    tmp_path: Path, repository: str
) -> None:
    """An index must have all platforms; a single manifest's config says its own."""
    index = Reference.parse(f"{repository}:index")
    single = Reference.parse(f"{repository}:single")
    async with client(tmp_path) as registry:
        checker = RegistryChecker(registry)
        put = await push_index(registry, index)
        alone = await push_image(registry, single)
        both = frozenset({AMD64, ARM64})
        assert await checker.check(index, frozenset({AMD64})) == Present(
            put, frozenset({AMD64})
        )
        assert await checker.check(single, frozenset({AMD64})) == Present(
            alone, frozenset({AMD64})
        )
        for reference in (index, single):
            verdict = await checker.check(reference, both)
            assert isinstance(verdict, Absent)
            assert "linux/arm64" in verdict.reason
        assert isinstance(
            await checker.check(index.with_tag("no"), frozenset({AMD64})), Absent
        )


async def test_altered_content_is_refused(
    tmp_path: Path, services: Services, repository: str
) -> None:
    """A blob that the registry's disk changed does not come through."""
    content = b"as it was pushed"
    reference = Reference.parse(repository)
    layer = blob(content)
    async with client(tmp_path) as registry:
        await registry.push_blob(reference, layer, content)
        blobs = services.registry_data / "docker/registry/v2/blobs/sha256"
        stored = blobs / layer.digest.hex[:2] / layer.digest.hex / "data"
        try:
            stored.write_bytes(content[::-1])
        except PermissionError:
            pytest.skip("the registry's data belongs to another user")
        with pytest.raises(RegistryError, match=str(layer.digest)):
            await registry.read_blob(reference, layer)
        stored.unlink()


# The registry with TLS and a password


def login(home: Path, services: Services, password: str) -> None:
    """Write what ``docker login`` would."""
    pair = f"{services.secure_username}:{password}".encode()
    config = {
        "auths": {services.secure_registry: {"auth": base64.b64encode(pair).decode()}}
    }
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text(json.dumps(config))


def secure(
    tmp_path: Path, services: Services
) -> AbstractAsyncContextManager[RegistryClient]:
    """Open a client that trusts the secure registry's CA."""
    return client(tmp_path, ca_file=services.secure_ca)


async def test_tls_and_password_on_loopback(tmp_path: Path, services: Services) -> None:
    """TLS is found without being told; the docker config opens the door."""
    login(tmp_path, services, services.secure_password)
    base = Reference.parse(services.secure_base)
    mine = Reference.parse(f"{services.secure_registry}/t/{tmp_path.name.lower()}:1")
    async with secure(tmp_path, services) as registry:
        verdict = await RegistryChecker(registry).check(base, frozenset())
        assert isinstance(verdict, Present)
        put = await push_image(registry, mine)
        assert await registry.head_manifest(mine, scope_push=True) == put


@pytest.mark.parametrize("password", ["wrong-password-canary", None])
async def test_wrong_or_no_password(
    tmp_path: Path, services: Services, password: str | None
) -> None:
    """The error names registry, source and next step, and no secret."""
    if password is not None:
        login(tmp_path, services, password)
    base = Reference.parse(services.secure_base)
    async with secure(tmp_path, services) as registry:
        with pytest.raises(AuthenticationError) as caught:
            await registry.head_manifest(base)
        verdict = await RegistryChecker(registry).check(base, frozenset())
        assert not await registry.can_push(base)
    text = str(caught.value)
    assert services.secure_registry in text
    assert ("~/.docker/config.json" if password else "without credentials") in text
    assert "canary" not in text + repr(caught.value)
    assert caught.value.hint == f"docker login {services.secure_registry}"
    assert isinstance(verdict, Unknown)
    assert verdict.hint == caught.value.hint


async def test_an_unknown_ca_is_no_passing_fault(
    tmp_path: Path, services: Services
) -> None:
    """Without the CA the certificate is refused, and the hint says what to set."""
    base = Reference.parse(services.secure_base)
    async with client(tmp_path) as registry:
        with pytest.raises(RegistryError, match="not trusted") as caught:
            await registry.head_manifest(base)
    assert "SSL_CERT_FILE" in caught.value.hint


async def test_an_insecure_registry_needs_no_ca(
    tmp_path: Path, services: Services
) -> None:
    """Named insecure, its certificate goes unchecked."""
    login(tmp_path, services, services.secure_password)
    base = Reference.parse(services.secure_base)
    async with client(
        tmp_path, insecure_registries=[services.secure_registry]
    ) as registry:
        assert await registry.head_manifest(base) is not None


async def test_a_ca_file_must_be_one(tmp_path: Path) -> None:
    """A CA file that is none is a settings error at once."""
    junk = tmp_path / "ca.pem"
    junk.write_text("no certificate")
    for path in (junk, tmp_path / "absent.pem"):
        with pytest.raises(SettingsError, match=path.name):
            async with client(tmp_path, ca_file=path):
                pass
