"""Bases in the engine: pulled once, by digest, with credentials, per platform."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aweigh.backends.engine import Engine, EngineBuilder, inspect_image, open_engine
from aweigh.backends.engine.base import BASE_REPOSITORY, BaseImages
from aweigh.errors import (
    AuthenticationError,
    BuildError,
    EngineError,
    EngineUnavailableError,
)
from aweigh.events import BuildStepFinished, BuildStepStarted, Warned
from aweigh.image.build import BuildRequest
from aweigh.image.credential import Credential
from aweigh.oci import Digest, Platform, Reference
from tests.backends.engine.doubles import (
    END,
    Credentials,
    Heads,
    Heard,
    chunks,
    engine_double,
    response,
)
from tests.services import Services

HOST = Platform.host()
Make = Callable[..., EngineBuilder]
Request = Callable[..., BuildRequest]


@pytest.fixture
async def pinned(services: Services) -> Reference:
    """Return the open registry's base by digest."""
    head = await Heads().head_manifest(Reference.parse(services.base))
    assert head is not None
    return Reference.parse(services.base).with_digest(head.digest)


@pytest.fixture
async def private(engine: Engine, services: Services) -> AsyncIterator[Reference]:
    """Return the private base, which the engine does not have before and after."""
    reference = Reference.parse(services.secure_base)
    await forget(engine, reference)
    yield reference
    await forget(engine, reference)


async def forget(engine: Engine, *names: Reference) -> None:
    """Remove names from the engine."""
    for name in names:
        if await engine.fetch(f"images/{name}/json") is not None:
            await engine.send("DELETE", f"images/{name}", params={"noprune": "1"})


def bases(engine: Engine, heard: Heard, *known: tuple[str, Credential]) -> BaseImages:
    """Return the bases of an engine, with these credentials."""
    return BaseImages(engine, Credentials(dict(known)), heard)


async def test_a_pinned_base_is_pulled_once(
    engine: Engine, heard: Heard, pinned: Reference
) -> None:
    """The first time it is a step; then nothing is asked of the registry."""
    alias = await bases(engine, heard).ensure(pinned, HOST)
    await forget(engine, pinned, alias)
    heard.events.clear()
    assert await bases(engine, heard).ensure(pinned, HOST) == alias
    step = f"pull {pinned}"
    (finished,) = heard.of(BuildStepFinished)
    assert heard.of(BuildStepStarted) == [BuildStepStarted(step=step)]
    assert finished.step == step
    heard.events.clear()
    assert await bases(engine, heard).ensure(pinned, HOST) == alias
    assert heard.events == []
    assert alias.name == BASE_REPOSITORY
    assert alias.tag.startswith("base-")
    assert await inspect_image(engine, str(alias)) is not None


async def test_the_local_name_is_enough_for_a_pinned_base(
    engine: Engine, heard: Heard, pinned: Reference
) -> None:
    """Another platform's pull moves the registry name; ours stays and is used."""
    alias = await bases(engine, heard).ensure(pinned, HOST)
    await forget(engine, pinned)
    heard.events.clear()
    assert await bases(engine, heard).ensure(pinned, HOST) == alias
    assert heard.events == []


async def test_every_base_and_platform_has_its_own_name(
    engine: Engine, heard: Heard, pinned: Reference, services: Services
) -> None:
    """A tag and a digest of one repository are two bases."""
    tagged = Reference.parse(services.base)
    first = await bases(engine, heard).ensure(tagged, HOST)
    assert first != await bases(engine, heard).ensure(pinned, HOST)


async def test_scratch_is_nothing_to_pull(engine: Engine, heard: Heard) -> None:
    """The empty base is no image."""
    scratch = Reference.parse("scratch")
    assert await bases(engine, heard).ensure(scratch, HOST) == scratch
    assert heard.events == []


@pytest.mark.parametrize("name", ["{registry}/nosuch/base:1", "{base}-nosuch"])
async def test_a_missing_base_is_named(
    engine: Engine, heard: Heard, services: Services, name: str
) -> None:
    """Repository and tag alike: the name, and what to check."""
    text = name.format(registry=services.registry, base=services.base)
    with pytest.raises(BuildError, match="manifest unknown") as caught:
        await bases(engine, heard).ensure(Reference.parse(text), HOST)
    assert text in str(caught.value)
    assert "spelling" in caught.value.hint
    assert "docker login" in caught.value.hint
    assert heard.of(BuildStepFinished) == []


async def test_a_missing_digest_is_a_missing_base(
    engine: Engine, heard: Heard, pinned: Reference
) -> None:
    """A pinned base that the registry lost is named with its digest."""
    lost = pinned.with_digest(Digest.of(b"lost"))
    with pytest.raises(BuildError, match=str(lost.digest)):
        await bases(engine, heard).ensure(lost, HOST)


async def test_a_registry_out_of_reach_is_said(engine: Engine, heard: Heard) -> None:
    """The hint is about the engine's network."""
    base = Reference.parse("127.0.0.1:1/base:1")
    with pytest.raises(BuildError, match="connection refused") as caught:
        await bases(engine, heard).ensure(base, HOST)
    assert "network" in caught.value.hint


async def test_a_base_for_another_platform_is_refused(
    engine: Engine, heard: Heard, services: Services
) -> None:
    """The platforms that there are and that are wanted are named."""
    base = Reference.parse(services.base)
    other = Platform("linux", "arm64" if HOST.architecture != "arm64" else "amd64")
    with pytest.raises(BuildError, match=f"{other} is wanted") as caught:
        await bases(engine, heard).ensure(base, other)
    assert str(HOST) in str(caught.value)


async def test_a_private_base_needs_the_credential(
    engine: Engine,
    heard: Heard,
    services: Services,
    secure_credential: Credential,
    private: Reference,
) -> None:
    """No credential is a hint, a wrong one an error, the right one a base."""
    registry = services.secure_registry
    with pytest.raises((BuildError, AuthenticationError)) as nobody:
        await bases(engine, heard).ensure(private, HOST)
    assert f"docker login {registry}" in nobody.value.hint
    wrong = Credential(username="aweigh", password="wrong-canary")
    with pytest.raises(AuthenticationError, match="unauthorized") as caught:
        await bases(engine, heard, (registry, wrong)).ensure(private, HOST)
    assert "wrong-canary" not in str(caught.value)
    known = (registry, secure_credential)
    assert (await bases(engine, heard, known).ensure(private, HOST)).name


async def test_builds_start_from_private_bases(
    make_builder: Make,
    make_request: Request,
    services: Services,
    secure_credential: Credential,
    private: Reference,
) -> None:
    """BuildKit finds the pulled base without asking the registry."""
    credentials = Credentials({services.secure_registry: secure_credential})
    builder = make_builder("RUN true", credentials=credentials)
    assert (await builder.build(make_request(base=private))).digest.hex


async def test_dockerfiles_may_name_private_images(
    *,
    make_builder: Make,
    make_request: Request,
    services: Services,
    secure_credential: Credential,
    private: Reference,
    heard: Heard,
) -> None:
    """What a Dockerfile copies from or starts from is there before the build."""
    credentials = Credentials({services.secure_registry: secure_credential})
    text = (
        f"FROM {private} AS a\nFROM {services.base}\nCOPY --from=a /etc/hostname /x\n"
    )

    def render(*_: object, **__: object) -> str:
        return text

    builder = make_builder("", credentials=credentials, render=render)
    assert (await builder.build(make_request(base=None))).digest.hex
    pulls = [event.step for event in heard.of(BuildStepStarted)]
    assert f"pull {private}" in pulls
    assert f"pull {services.base}" not in pulls
    heard.events.clear()
    assert (await builder.build(make_request(base=None))).digest.hex
    pulls = [event.step for event in heard.of(BuildStepStarted)]
    assert f"pull {private}" not in pulls


async def test_what_a_dockerfile_names_wrongly_is_left_to_buildkit(
    make_builder: Make, make_request: Request, services: Services, heard: Heard
) -> None:
    """A word that only looks like an image is a warning at most."""
    credentials = Credentials({services.registry: Credential(username="a")})
    missing = f"{services.registry}/nosuch/base:1"
    text = f"FROM {services.base}\nRUN <<EOF\nFROM {missing}\nEOF\n"

    def render(*_: object, **__: object) -> str:
        return text

    with pytest.raises(BuildError):
        await make_builder("", credentials=credentials, render=render).build(
            make_request(base=None)
        )
    (warning,) = heard.of(Warned)
    assert missing in warning.message


async def pull_from_double(path: Path, answer: bytes, heard: Heard) -> None:
    """Ensure a base with an engine that answers a pull like this."""

    async def serve(
        line: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        is_pull = "images/create" in line
        missing = response(b'{"message": "No such image"}', "404 Not Found")
        writer.write(answer if is_pull else missing)

    async with engine_double(path / "s", serve) as host, open_engine(host) as engine:
        await bases(engine, heard).ensure(Reference.parse("r.test/a:1"), HOST)


async def test_an_error_in_the_stream_is_the_reason(
    tmp_path: Path, heard: Heard
) -> None:
    """The status was 200 by then."""
    error = b'{"error": "no matching manifest for linux/amd64"}\n'
    with pytest.raises(BuildError, match="no matching manifest") as caught:
        await pull_from_double(tmp_path, chunks(error) + END, heard)
    assert f"not for {HOST}" in caught.value.hint


async def test_hubs_ambiguous_denial_is_a_missing_base(
    tmp_path: Path, heard: Heard
) -> None:
    """Docker Hub says denied of what does not exist: no reason to exit as a login."""
    said = b"pull access denied for x, repository does not exist or may require login"
    answer = response(b'{"message": "%s"}' % said, "404 Not Found")
    with pytest.raises(BuildError, match="denied") as caught:
        await pull_from_double(tmp_path, answer, heard)
    assert "docker login" in caught.value.hint


async def test_a_pull_that_leaves_nothing_is_an_error(
    tmp_path: Path, heard: Heard
) -> None:
    """A polite end is no proof that the image is there."""
    with pytest.raises(BuildError, match="not after pulling it"):
        await pull_from_double(tmp_path, chunks(b"{}\n") + END, heard)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (chunks(b"{}\n"), EngineUnavailableError, "broke off"),
        (chunks(b"junk\n") + END, EngineError, "no JSON"),
    ],
    ids=["cut", "junk"],
)
async def test_a_broken_pull_is_the_engines_fault(
    tmp_path: Path, heard: Heard, answer: bytes, kind: type[EngineError], message: str
) -> None:
    """An engine that dies is not reported as a missing base."""
    with pytest.raises(kind, match=message) as caught:
        await pull_from_double(tmp_path, answer, heard)
    assert not isinstance(caught.value, BuildError)
