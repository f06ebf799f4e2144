"""Pushing: progress, proof, and registries that say no."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.backends.engine import Engine, EngineBuilder, open_engine
from aweigh.backends.engine.push import push_image
from aweigh.errors import (
    AuthenticationError,
    EngineUnavailableError,
    PushError,
)
from aweigh.events import BlobPushed, PushProgressed
from aweigh.image.build import BuildRequest
from aweigh.image.credential import Credential
from aweigh.oci import Descriptor, Digest, Reference
from aweigh.oci.manifest import DOCKER_MANIFEST
from tests.backends.engine.doubles import (
    END,
    Credentials,
    FixedHead,
    Heads,
    Heard,
    chunks,
    engine_double,
    response,
)
from tests.services import Services

Make = Callable[..., EngineBuilder]
Request = Callable[..., BuildRequest]
REFERENCE = Reference.parse("registry.test/a/b:c")
DIGEST = Digest.of(b"manifest")


async def push_to_double(
    path: Path, *messages: object, heard: Heard, head: Descriptor | None = None
) -> Digest:
    """Push REFERENCE with an engine that answers these messages."""

    async def answer(
        line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        assert "/images/registry.test/a/b/push?tag=c " in line
        sent = (json.dumps(message).encode() + b"\n" for message in messages)
        writer.write(chunks(*sent) + END)

    async with engine_double(path / "s", answer) as host, open_engine(host) as engine:
        return await push_image(
            engine,
            REFERENCE,
            credentials=Credentials(),
            registry=FixedHead(head),
            listener=heard,
        )


def result(digest: Digest = DIGEST) -> dict[str, object]:
    """Return the message that carries a push's result."""
    return {"progressDetail": {}, "aux": {"Tag": "c", "Digest": str(digest)}}


def descriptor(digest: Digest = DIGEST) -> Descriptor:
    """Return what a registry says of a manifest."""
    return Descriptor(media_type=DOCKER_MANIFEST, digest=digest, size=1)


async def test_a_pushed_image_is_what_the_registry_has(
    make_builder: Make,
    make_request: Request,
    repository: str,
    heard: Heard,
    mark: str,
) -> None:
    """The digest is the manifest's; a layer is told once it is there."""
    request = make_request(f"{repository}:linux-amd64", push=True)
    builder = make_builder(f"RUN head -c 3000000 /dev/urandom > /{mark}")
    built = await builder.build(request)
    head = await Heads().head_manifest(request.reference)
    assert head is not None
    assert built.digest == head.digest
    assert any(not event.reused for event in heard.of(BlobPushed))
    sizes = [event.done for event in heard.of(PushProgressed)]
    assert max(sizes) >= 1_000_000
    heard.events.clear()
    assert await builder.build(request) == built
    assert all(event.reused for event in heard.of(BlobPushed))


async def test_the_secure_registry_wants_the_right_credential(
    *,
    make_builder: Make,
    make_request: Request,
    services: Services,
    secure_credential: Credential,
    mark: str,
) -> None:
    """None and a wrong one are authentication errors; the image stays built."""
    registry = services.secure_registry
    request = make_request(f"{registry}/t/{mark}:1", push=True)

    def builder(
        credential: Credential | None, head: Descriptor | None
    ) -> EngineBuilder:
        known = {registry: credential} if credential else {}
        return make_builder(
            f"RUN echo {mark}",
            credentials=Credentials(known),
            registry=FixedHead(head),
        )

    wrong = Credential(username="aweigh", password=f"wrong-{mark}")
    for credential in (None, wrong):
        with pytest.raises(AuthenticationError, match=registry) as caught:
            await builder(credential, None).build(request)
        assert f"docker login {registry}" in caught.value.hint
        assert f"wrong-{mark}" not in str(caught.value)
    # The right one gets through; the double then says what the registry would.
    with pytest.raises(PushError, match="the registry has nothing"):
        await builder(secure_credential, None).build(request)


async def test_cancelling_stops_the_push(
    engine: Engine,
    make_builder: Make,
    make_request: Request,
    repository: str,
    mark: str,
) -> None:
    """The engine does not finish behind our back: the tag never appears."""
    request = make_request(f"{repository}:1")
    await make_builder(f"RUN head -c 80000000 /dev/urandom > /{mark}").build(request)
    begun = asyncio.Event()
    push = asyncio.create_task(
        push_image(
            engine,
            request.reference,
            credentials=Credentials(),
            registry=Heads(),
            listener=lambda _event: begun.set(),
        )
    )
    await begun.wait()
    push.cancel()
    with pytest.raises(asyncio.CancelledError):
        await push
    await asyncio.sleep(3)
    assert await Heads().head_manifest(request.reference) is None


async def test_progress_is_told_in_bytes(tmp_path: Path, heard: Heard) -> None:
    """Totals are never smaller than what was sent; reused layers are told so."""
    detail = {"current": 5, "total": 3}
    digest = await push_to_double(
        tmp_path,
        {"status": "The push refers to repository [x]"},
        {"status": "Preparing", "id": "a", "progressDetail": {}},
        {"status": "Pushing", "id": "a", "progressDetail": detail},
        {"status": "Pushing", "id": "a", "progressDetail": {"current": 7}},
        {"status": "Pushing", "id": "a", "progressDetail": "odd"},
        {"status": "Pushed", "id": "a"},
        {"status": "Layer already exists", "id": "b"},
        {"status": "Mounted from base", "id": "c"},
        result(),
        heard=heard,
        head=descriptor(),
    )
    assert digest == DIGEST
    assert heard.events == [
        PushProgressed(layer="a", done=5, total=5),
        PushProgressed(layer="a", done=7, total=0),
        BlobPushed(layer="a", reused=False),
        BlobPushed(layer="b", reused=True),
        BlobPushed(layer="c", reused=True),
    ]


@pytest.mark.parametrize(
    "messages",
    [(), ({"aux": {"Digest": "x"}},), ({"aux": {}}, {"status": "done"})],
    ids=["nothing", "no digest", "other aux"],
)
async def test_a_clean_end_without_the_digest_is_no_success(
    tmp_path: Path, heard: Heard, messages: tuple[object, ...]
) -> None:
    """An engine that was restarted ends the answer politely."""
    with pytest.raises(PushError, match="without a result"):
        await push_to_double(tmp_path, *messages, heard=heard, head=descriptor())


@pytest.mark.parametrize("head", [None, descriptor(Digest.of(b"other"))])
async def test_the_registry_has_the_last_word(
    tmp_path: Path, heard: Heard, head: Descriptor | None
) -> None:
    """A push the registry does not confirm failed."""
    with pytest.raises(PushError, match="the registry has"):
        await push_to_double(tmp_path, result(), heard=heard, head=head)


async def test_errors_in_the_stream_win_over_a_result(
    tmp_path: Path, heard: Heard
) -> None:
    """A stream that reports an error failed, whatever follows."""
    error = {"error": "blob upload unknown"}
    with pytest.raises(PushError, match="blob upload unknown") as caught:
        await push_to_double(tmp_path, error, result(), heard=heard, head=descriptor())
    assert "certificate" in caught.value.hint


async def test_a_refused_push_is_a_push_error(tmp_path: Path, heard: Heard) -> None:
    """An image the engine does not have cannot be pushed."""

    async def answer(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(response(b'{"message": "does not exist"}', "404 Not Found"))

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        with pytest.raises(PushError, match="does not exist"):
            await push_image(
                e,
                REFERENCE,
                credentials=Credentials(),
                registry=FixedHead(None),
                listener=heard,
            )


async def test_an_engine_that_dies_is_unavailable(tmp_path: Path, heard: Heard) -> None:
    """Half an answer is neither a success nor the registry's fault."""

    async def answer(_: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(chunks(json.dumps(result()).encode() + b"\n"))

    async with engine_double(tmp_path / "s", answer) as host, open_engine(host) as e:
        with pytest.raises(EngineUnavailableError, match="broke off"):
            await push_image(
                e,
                REFERENCE,
                credentials=Credentials(),
                registry=FixedHead(descriptor()),
                listener=heard,
            )
