"""Images of tasks: pulled by digest with our credentials, or known to be gone."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from aweigh.backends.engine import DockerTarget, Engine, EngineBuilder, inspect_image
from aweigh.backends.engine.push import push_image
from aweigh.errors import AuthenticationError, ImageGoneError, TargetError
from aweigh.events import ImagePulled
from aweigh.flow.target import Task
from aweigh.image.build import BuildRequest
from aweigh.image.credential import Credential
from aweigh.oci import Descriptor, Digest, Reference
from aweigh.oci.manifest import DOCKER_MANIFEST, OCI_MANIFEST
from tests.backends.engine.doubles import Credentials, Heads
from tests.backends.engine.target.docker.support import Ground
from tests.services import Services


@pytest.fixture
async def pushed(
    engine: Engine,
    repository: str,
    make_builder: Callable[..., EngineBuilder],
    make_request: Callable[..., BuildRequest],
    ground: Ground,
) -> AsyncIterator[Reference]:
    """Return an image that the open registry has, and the engine has not."""
    reference = Reference.parse(f"{repository}/gone:1")
    await make_builder("RUN echo 1 > /one").build(make_request(str(reference)))
    digest = await push_image(
        engine,
        reference,
        credentials=Credentials(),
        registry=Heads(),
        listener=ground.heard,
    )
    pinned = Reference.parse(f"{reference.name}@{digest}")
    await _forget(engine, str(reference), str(pinned))
    yield pinned
    await _forget(engine, str(pinned))


async def _forget(engine: Engine, *names: str) -> None:
    for name in names:
        if await inspect_image(engine, name) is not None:
            await engine.send("DELETE", f"images/{name}", params={"force": "1"})


def _task(ground: Ground, image: Reference) -> Task:
    return ground.task("cat", "/one", image=str(image), reference=image)


async def test_an_image_is_pulled_once(ground: Ground, pushed: Reference) -> None:
    """By digest; the second run finds it in the engine."""
    for _ in range(2):
        task = _task(ground, pushed)
        assert await ground.target.run(task, ground.lines.append) == 0
    assert ground.texts() == ["1", "1"]
    [event] = ground.heard.of(ImagePulled)
    assert event.reference == pushed


async def test_an_image_deleted_in_the_registry_is_gone(
    ground: Ground, pushed: Reference
) -> None:
    """So that the flow can ensure it once more."""
    url = f"http://{pushed.registry}/v2/{pushed.repository}/manifests/{pushed.digest}"
    async with aiohttp.ClientSession() as session, session.delete(url) as response:
        assert response.status == 202
    with pytest.raises(ImageGoneError, match="cannot be pulled"):
        await ground.target.run(_task(ground, pushed), ground.lines.append)
    assert await ground.containers() == []


async def test_an_image_of_this_machine_alone_can_be_gone(ground: Ground) -> None:
    """Without a registry there is nothing to pull it from."""
    digest = "sha256:" + "0" * 64
    with pytest.raises(ImageGoneError, match="no longer has"):
        await ground.run("true", image=digest)


async def test_a_repository_that_never_was_is_gone(
    ground: Ground, repository: str
) -> None:
    """The engine's words for it differ, the error does not."""
    image = Reference.parse(f"{repository}/nosuch@sha256:{'0' * 64}")
    with pytest.raises(ImageGoneError):
        await ground.target.run(_task(ground, image), ground.lines.append)


async def test_a_registry_out_of_reach_is_not_a_missing_image(ground: Ground) -> None:
    """Nothing is built anew because a server is down."""
    image = Reference.parse(f"127.0.0.1:1/nosuch@sha256:{'0' * 64}")
    with pytest.raises(TargetError, match="cannot be pulled") as caught:
        await ground.target.run(_task(ground, image), ground.lines.append)
    assert not isinstance(caught.value, ImageGoneError)
    assert "could not reach" in caught.value.hint


async def test_a_private_image_is_pulled_with_our_credentials(
    ground: Ground,
    services: Services,
    secure_credential: Credential,
    make_builder: Callable[..., EngineBuilder],
    make_request: Callable[..., BuildRequest],
) -> None:
    """Without them it is an error of authentication, and never a missing image."""
    engine = ground.engine
    registry = services.secure_registry
    known = Credentials({registry: secure_credential})
    private = DockerTarget(
        engine,
        credentials=known,
        listener=ground.heard,
        namespace=ground.namespace,
    )
    # Not the base: the engine pulls nothing that it has from another registry.
    tagged = Reference.parse(f"{registry}/t/{ground.namespace}:1")
    await make_builder(f"RUN echo {ground.namespace} > /one").build(
        make_request(str(tagged))
    )
    digest = await push_image(
        engine,
        tagged,
        credentials=known,
        registry=SecureHeads(services),
        listener=ground.heard,
    )
    pinned = Reference.parse(f"{tagged.name}@{digest}")
    await _forget(engine, str(tagged), str(pinned))
    try:
        with pytest.raises(AuthenticationError, match="does not let the engine pull"):
            await ground.target.run(_task(ground, pinned), ground.lines.append)
        assert await private.run(_task(ground, pinned), ground.lines.append) == 0
    finally:
        await _forget(engine, str(pinned))
    assert ground.texts() == [ground.namespace]


@dataclass(frozen=True)
class SecureHeads:
    """Asks the secure registry what a reference points at."""

    services: Services

    async def head_manifest(self, reference: Reference, /) -> Descriptor | None:
        """HEAD a manifest."""
        url = (
            f"https://{reference.registry}/v2/{reference.repository}"
            f"/manifests/{reference.target}"
        )
        headers = {
            "Accept": f"{OCI_MANIFEST}, {DOCKER_MANIFEST}",
            "Authorization": aiohttp.encode_basic_auth(
                self.services.secure_username, self.services.secure_password
            ),
        }
        async with (
            aiohttp.ClientSession() as session,
            session.head(url, headers=headers, ssl=False) as response,
        ):
            assert response.status == 200
            return Descriptor(
                media_type=response.headers["Content-Type"],
                digest=Digest.parse(response.headers["Docker-Content-Digest"]),
                size=int(response.headers["Content-Length"]),
            )
