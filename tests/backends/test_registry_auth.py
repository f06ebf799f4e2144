"""Authentication at registries: tokens, hidden repositories, and who sees a secret."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import urljoin

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from aweigh.backends.registry import RegistryChecker, RegistryClient, open_registry
from aweigh.backends.registry.challenge import (
    Basic,
    Bearer,
    Scope,
    merge_scopes,
    read_challenges,
)
from aweigh.backends.registry.endpoint import candidates, is_inside, is_loopback
from aweigh.backends.registry.message import Request
from aweigh.backends.registry.token import checked_realm
from aweigh.backends.registry.transport import leads_to
from aweigh.errors import (
    AuthenticationError,
    RegistryError,
    RegistryUnavailableError,
)
from aweigh.events import silent
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.image.credential import CredentialSource
from aweigh.oci import Reference
from aweigh.oci.manifest import OCI_MANIFEST
from aweigh.testing import FakeRegistry, answers, redirects
from tests.backends.registry_support import (
    AMD64,
    Nobody,
    Somebody,
    blob,
    hold_image,
    reference_at,
)

SECRET = "anchor"
WANTED = frozenset({AMD64})


def sailor() -> Somebody:
    """Return who has the fake registry's account."""
    return Somebody(username="sailor", password=SECRET)


@asynccontextmanager
async def client(
    credentials: CredentialSource, **options: object
) -> AsyncIterator[RegistryClient]:
    """Open a client with credentials."""
    defaults = {"listener": silent, "deadline": 5.0}
    async with open_registry(
        credentials,
        **(defaults | options),  # type: ignore[arg-type]
    ) as opened:
        yield opened


# Bearer and Basic


async def test_one_token_serves_many_callers() -> None:
    """Twenty calls at once ask for one token, and later ones for none."""
    who = sailor()
    async with FakeRegistry(challenge="bearer") as fake, client(who) as registry:
        hold_image(fake)
        await asyncio.gather(
            *(registry.head_manifest(reference_at(fake)) for _ in range(20))
        )
        assert fake.tokens.granted == 1
        before = len(fake.received)
        assert await registry.head_manifest(reference_at(fake)) is not None
        assert len(fake.received) == before + 1
        (asked,) = fake.requests(path="/token")
        assert asked.query == "service=fake&scope=repository:team/app:pull"
        assert who.asked == [fake.host]


async def test_a_push_token_serves_reads_too() -> None:
    """Asked with the scope of a push, the checker needs one token for everything."""
    async with FakeRegistry(challenge="bearer") as fake, client(sailor()) as registry:
        hold_image(fake)
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
        assert isinstance(verdict, Present)
        await registry.push_blob(reference_at(fake), blob(b"abc"), b"abc")
        assert fake.tokens.granted == 1
        assert "pull,push" in fake.requests(path="/token")[0].query


async def test_strangers_may_read() -> None:
    """Without a credential a token is asked for all the same, and pushes are not."""
    async with FakeRegistry(challenge="bearer") as fake, client(Nobody()) as registry:
        hold_image(fake)
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
        assert isinstance(verdict, Present)
        with pytest.raises(AuthenticationError, match="without credentials") as caught:
            await registry.push_blob(reference_at(fake), blob(b"abc"), b"abc")
    assert caught.value.hint == f"docker login {fake.host}"


async def test_a_mount_asks_for_both_repositories() -> None:
    """The destination comes first in the token's scopes, the source is in it."""
    async with FakeRegistry(challenge="bearer") as fake, client(sailor()) as registry:
        fake.add_blob("team/base", b"abc")
        moved = await registry.push_blob(
            reference_at(fake), blob(b"abc"), b"abc", mount_from="team/base"
        )
        assert not moved
        scopes = fake.requests(path="/token")[-1].query.split("&")[1:]
    assert scopes == [
        "scope=repository:team/app:pull,push",
        "scope=repository:team/base:pull",
    ]


async def test_a_mount_that_the_token_service_refuses_is_an_upload() -> None:
    """Who may not read the neighbour pushes the bytes."""
    async with FakeRegistry(challenge="bearer") as fake, client(sailor()) as registry:
        assert await registry.can_push(reference_at(fake))
        fake.fail(answers(403), path="/token")
        assert await registry.push_blob(
            reference_at(fake), blob(b"abc"), b"abc", mount_from="secret/base"
        )


async def test_an_identity_token_is_refreshed_by_post() -> None:
    """OAuth2 where the service has it; the token's other name is understood."""
    who = Somebody(identity_token="refresh-me")
    async with FakeRegistry(challenge="bearer", identity_token="refresh-me") as fake:
        hold_image(fake)
        async with client(who) as registry:
            assert await registry.head_manifest(reference_at(fake)) is not None
        assert [r.method for r in fake.requests(path="/token")] == ["POST"]


async def test_an_identity_token_without_oauth_is_a_password() -> None:
    """A service without POST gets a GET."""
    who = Somebody(identity_token="refresh-me")
    async with FakeRegistry(challenge="bearer", identity_token="refresh-me") as fake:
        fake.tokens.oauth = False
        hold_image(fake)
        async with client(who) as registry:
            assert await registry.head_manifest(reference_at(fake)) is not None
        assert [r.method for r in fake.requests(path="/token")] == ["POST", "GET"]


@pytest.mark.parametrize(
    "who",
    [
        Somebody(username="sailor", password="wrong-canary"),
        Somebody(identity_token="wrong-canary"),
    ],
)
async def test_a_wrong_credential_is_named_without_its_secret(who: Somebody) -> None:
    """Registry, source and next step are told; the secret is not, nor echoed."""
    echo = {"errors": [{"code": "UNAUTHORIZED", "message": "no wrong-canary here"}]}
    async with FakeRegistry(challenge="bearer") as fake, client(who) as registry:
        for _ in range(2):
            with pytest.raises(AuthenticationError) as caught:
                await registry.head_manifest(reference_at(fake))
            assert fake.host in str(caught.value)
            assert "the test" in str(caught.value)
            assert "canary" not in str(caught.value) + repr(caught.value)
            fake.fail(answers(401, json.dumps(echo).encode()), path="/token", times=2)
        assert "no *** here" in str(caught.value)
        before = len(fake.requests(path="/token"))
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
        assert isinstance(verdict, Unknown)
        assert len(fake.requests(path="/token")) == before + 1


async def test_tokens_are_renewed_before_they_end() -> None:
    """A token near its end is not presented."""
    async with FakeRegistry(challenge="bearer", token_life=0.5) as fake:
        hold_image(fake)
        async with client(sailor()) as registry:
            await registry.head_manifest(reference_at(fake))
            await asyncio.sleep(0.45)
            await registry.head_manifest(reference_at(fake))
        refused = fake.requests("HEAD")
        assert (fake.tokens.granted, len(refused)) == (2, 3)


async def test_a_token_that_ends_during_a_push(tmp_path: Path) -> None:
    """The upload goes on after one renewal; nothing is lost."""
    content = b"0123456789" * 300_000
    file = tmp_path / "layer"
    file.write_bytes(content)
    fake = FakeRegistry(challenge="bearer")
    fake.tokens.says_life = False
    async with fake, client(sailor()) as registry:

        async def expire(request: web.Request, /) -> web.StreamResponse:
            fake.tokens.revoke()
            challenge = {"WWW-Authenticate": f'Bearer realm="{fake.realm}"'}
            return await answers(401, headers=challenge)(request)

        fake.fail(expire, method="PUT")
        assert await registry.push_blob(reference_at(fake), blob(content), file)
        assert fake.tokens.granted == 2
        assert len(fake.requests("POST", "/uploads")) <= 4
    assert fake.blob("team/app", str(blob(content).digest)) == content


async def test_a_token_that_is_never_good_enough_is_an_error() -> None:
    """One renewal, no loop."""
    async with FakeRegistry(challenge="bearer", token_life=-1) as fake:
        hold_image(fake)
        async with client(sailor()) as registry:
            with pytest.raises(AuthenticationError, match="as 'sailor' from the test"):
                await registry.get_manifest(reference_at(fake))
        assert len(fake.requests("GET", "/v2/")) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 3}',
        b'{"token": "a\\nb"}',
        b"<html>",
        b'{"token":"x","expires_in":"soon"}',
    ],
)
async def test_a_token_service_that_talks_nonsense(body: bytes) -> None:
    """Anything but a token is an error."""
    async with FakeRegistry(challenge="bearer") as fake, client(Nobody()) as registry:
        fake.fail(answers(200, body), path="/token", times=9)
        with pytest.raises(RegistryError, match="no token"):
            await registry.head_manifest(reference_at(fake))


async def test_a_token_service_that_is_down() -> None:
    """Its 5xx is the registry's, and passes."""
    async with FakeRegistry(challenge="bearer") as fake, client(Nobody()) as registry:
        hold_image(fake)
        fake.fail(answers(502), path="/token", times=1)
        assert await registry.head_manifest(reference_at(fake)) is not None
        fake.tokens.revoke()
        fake.fail(answers(502), path="/token", times=9)
        with pytest.raises(RegistryUnavailableError):
            await registry.head_manifest(reference_at(fake))


async def test_basic_is_asked_for_once() -> None:
    """After the first challenge the password goes with each request."""
    who = sailor()
    async with FakeRegistry(challenge="basic") as fake, client(who) as registry:
        hold_image(fake)
        await asyncio.gather(
            *(registry.head_manifest(reference_at(fake)) for _ in range(5))
        )
        assert who.asked == [fake.host]
        before = len(fake.received)
        await registry.head_manifest(reference_at(fake))
        assert len(fake.received) == before + 1


async def test_a_new_password_is_taken_up() -> None:
    """After a refusal the source is asked again: somebody may have logged in."""
    who = Somebody(username="sailor", password="old")
    async with FakeRegistry(challenge="basic") as fake, client(who) as registry:
        hold_image(fake)
        with pytest.raises(AuthenticationError):
            await registry.head_manifest(reference_at(fake))
        who.known = sailor().known
        assert await registry.head_manifest(reference_at(fake)) is not None


async def test_a_strange_scheme_is_a_refusal() -> None:
    """What we cannot do is not tried."""
    async with FakeRegistry() as fake, client(sailor()) as registry:
        strange = {"WWW-Authenticate": 'Negotiate, Digest realm="x"'}
        fake.fail(answers(401, headers=strange), times=9)
        with pytest.raises(AuthenticationError):
            await registry.head_manifest(reference_at(fake))
        assert not [r for r in fake.received if "Authorization" in r.headers]


# Hidden repositories


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("challenge", ["basic", "bearer"])
async def test_hidden_and_writable_is_absent(
    status: Literal[401, 403], challenge: Literal["basic", "bearer"]
) -> None:
    """What one may push to and cannot see is not there; no upload stays open."""
    async with (
        FakeRegistry(
            challenge=challenge,
            hides=status,
        ) as fake,
        client(sailor()) as registry,
    ):
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
        assert not fake.open_uploads
    assert isinstance(verdict, Absent)
    assert "takes a push" in verdict.reason


@pytest.mark.parametrize("status", [401, 403])
async def test_hidden_and_refused_is_unknown(status: Literal[401, 403]) -> None:
    """What one may neither see nor push to is nobody's guess."""
    async with (
        FakeRegistry(
            challenge="bearer",
            hides=status,
            takes_pushes=False,
        ) as fake,
        client(sailor()) as registry,
    ):
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
    assert isinstance(verdict, Unknown)
    assert verdict.hint == f"docker login {fake.host}"
    assert fake.host in verdict.reason


async def test_who_may_only_read_still_sees() -> None:
    """A token service that refuses the scope of a push is asked for less."""
    async with FakeRegistry(challenge="bearer") as fake, client(sailor()) as registry:
        hold_image(fake)
        denied = answers(403, b'{"errors":[{"code":"DENIED"}]}')
        fake.fail(denied, path="/token", times=2)
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
        assert isinstance(verdict, Present)
        assert fake.requests(path="/token")[-1].query.endswith("app:pull")


async def test_a_fault_behind_a_refusal_is_unknown() -> None:
    """When the probe itself fails nobody knows."""
    async with FakeRegistry(hides=403) as fake, client(sailor()) as registry:
        fake.fail(answers(500), method="POST", times=9)
        fake.fail(
            answers(401, headers={"WWW-Authenticate": "Basic"}), method="HEAD", times=1
        )
        verdict = await RegistryChecker(registry).check(reference_at(fake), WANTED)
    assert isinstance(verdict, Unknown)
    assert "500" in verdict.reason


# Redirects: credentials stay home


async def test_no_credential_follows_a_redirect() -> None:
    """HEAD, GET, PUT and uploads go elsewhere without ``Authorization``."""
    who = sailor()
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(FakeRegistry(challenge="basic"))
        away = await stack.enter_async_context(FakeRegistry())
        registry = await stack.enter_async_context(client(who))
        hold_image(away)
        reference = reference_at(home)
        await registry.can_push(reference)
        there = f"http://{away.host}/v2/team/app/manifests/1"
        home.fail(redirects(there), method="HEAD")
        home.fail(redirects(there, 302), method="GET")
        home.fail(redirects(there, 308), method="PUT")
        assert await registry.head_manifest(reference) is not None
        got = await registry.get_manifest(reference)
        assert got is not None
        assert await registry.put_manifest(reference, got[2], OCI_MANIFEST) == got[1]
        upload = f"http://{away.host}/v2/team/app/blobs/uploads/"
        home.fail(redirects(upload), method="POST", path="uploads")
        await registry.push_blob(reference, blob(b"abc"), b"abc")
        assert {r.method for r in away.received} >= {"HEAD", "GET", "PUT", "POST"}
        for request in away.received:
            assert "Authorization" not in request.headers
            assert SECRET not in str(request.headers)


async def test_an_upload_elsewhere_gets_no_credential() -> None:
    """A Location on another host is used, without ``Authorization``."""
    async with (
        FakeRegistry(challenge="basic") as home,
        FakeRegistry() as away,
        client(sailor()) as registry,
    ):
        reference = reference_at(home)
        await registry.can_push(reference)
        place = {"Location": f"http://{away.host}/v2/team/app/blobs/uploads/x?a=b%2Fc"}
        home.fail(answers(202, headers=place), method="POST")
        away.fail(answers(201), method="PUT")
        assert await registry.push_blob(reference, blob(b"abc"), b"abc")
        (put,) = away.received
        assert put.query == f"a=b%2Fc&digest={blob(b'abc').digest}"
        assert "Authorization" not in put.headers


async def test_another_host_gets_no_password_for_asking() -> None:
    """A challenge from where a redirect led is not answered."""
    who = sailor()
    async with (
        FakeRegistry() as home,
        FakeRegistry(challenge="basic") as away,
        client(who) as registry,
    ):
        home.fail(redirects(f"http://{away.host}/v2/team/app/manifests/1"), times=9)
        with pytest.raises(RegistryError, match="storage, which answered 401"):
            await registry.get_manifest(reference_at(home))
        assert not who.asked


async def test_storage_that_has_nothing_is_no_absence() -> None:
    """A 404 of another host says nothing about the image."""
    async with FakeRegistry() as home, FakeRegistry() as away:
        home.fail(redirects(f"http://{away.host}/v2/team/app/manifests/1"), times=9)
        async with client(Nobody()) as registry:
            with pytest.raises(RegistryError, match="storage, which answered 404"):
                await registry.head_manifest(reference_at(home))


@pytest.mark.parametrize(
    ("registry", "base", "place", "fine"),
    [
        ("ghcr.io", "https://ghcr.io", "https://blobs.example/x?sig=a%2Fb", True),
        ("ghcr.io", "https://ghcr.io/v2/a/", "next", True),
        ("ghcr.io", "https://ghcr.io", "http://ghcr.io/x", False),
        ("ghcr.io", "https://ghcr.io", "https://169.254.169.254/x", False),
        ("ghcr.io", "https://ghcr.io", "https://localhost/x", False),
        ("127.0.0.1:5000", "http://127.0.0.1:5000", "http://127.0.0.1:9000/x", True),
        ("127.0.0.1:5000", "https://blobs.example", "http://127.0.0.1:5000/", False),
    ],
)
def test_locations(registry: str, base: str, place: str, *, fine: bool) -> None:
    """Never from https to http, never from outside to inside."""
    endpoint = candidates(registry, ())[0]
    asked = Request(method="GET", registry=registry, url="/", doing="ask", scopes=())
    if fine:
        found = leads_to(endpoint, URL(base), place, asked)
        assert str(found) == urljoin(base, place)
    else:
        with pytest.raises(RegistryError, match="Location"):
            leads_to(endpoint, URL(base), place, asked)


@pytest.mark.parametrize(
    "place",
    ["ftp://x/y", "http://[::1", "http://user:pw@127.0.0.1/", "http://h:99999/", "//"],
)
async def test_nonsense_locations_are_refused(place: str) -> None:
    """A Location must be a URL of a web service, without a password in it."""
    async with FakeRegistry() as fake, client(Nobody()) as registry:
        fake.fail(redirects(place), times=9)
        with pytest.raises(RegistryError) as caught:
            await registry.get_manifest(reference_at(fake))
    assert "pw" not in str(caught.value)


async def test_a_write_is_not_turned_into_a_read() -> None:
    """A 302 to a PUT would become a GET elsewhere: refused."""
    async with FakeRegistry() as fake, client(Nobody()) as registry:
        fake.fail(redirects("/elsewhere", 302), times=9)
        with pytest.raises(RegistryError, match="redirect"):
            await registry.put_manifest(reference_at(fake), b"{}", OCI_MANIFEST)


# Realms that must not see a password


@pytest.mark.parametrize(
    ("registry", "realm", "fine"),
    [
        ("ghcr.io", "https://ghcr.io/token", True),
        ("docker.io", "https://auth.docker.io/token", True),
        ("ghcr.io", "http://ghcr.io/token", False),
        ("ghcr.io", "https://169.254.169.254/latest", False),
        ("ghcr.io", "https://10.0.0.1/token", False),
        ("ghcr.io", "https://[::1]/token", False),
        ("ghcr.io", "https://[::ffff:10.0.0.1]/token", False),
        ("ghcr.io", "https://localhost/token", False),
        ("ghcr.io", "https://me:pw@ghcr.io/token", False),
        ("ghcr.io", "/token", False),
        ("ghcr.io", "file:///etc/passwd", False),
        ("ghcr.io", "https://[", False),
        ("10.1.2.3:5000", "https://10.0.0.1/token", True),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
        ("127.0.0.1:5000", "http://evil.example/token", False),
    ],
)
def test_realms(registry: str, realm: str, *, fine: bool) -> None:
    """Only https, or this machine; nothing inside for a registry outside."""
    endpoint = candidates(registry, ())[0]
    if fine:
        assert str(checked_realm(endpoint, realm)) == realm
    else:
        with pytest.raises(AuthenticationError, match="must not see"):
            checked_realm(endpoint, realm)


async def test_an_evil_realm_sees_nothing() -> None:
    """The password stays here, and the error says why."""
    who = sailor()
    fake = FakeRegistry(challenge="bearer")
    fake.realm = "http://169.254.169.254/token"
    async with fake, client(who) as registry:
        with pytest.raises(AuthenticationError, match="must not see credentials"):
            await registry.head_manifest(reference_at(fake))
    assert not fake.requests(path="/token")


async def test_a_realm_that_redirects_is_refused() -> None:
    """A token service does not send passwords on."""
    async with FakeRegistry(challenge="bearer") as fake, FakeRegistry() as away:
        fake.fail(redirects(f"http://{away.host}/token"), path="/token", times=9)
        async with client(sailor()) as registry:
            with pytest.raises(RegistryError, match="answered 307"):
                await registry.head_manifest(reference_at(fake))
        assert not away.received


# Addresses


def test_where_registries_are() -> None:
    """TLS for all, plain HTTP for this machine and the ones named insecure."""

    def ways(registry: str, *insecure: str) -> list[tuple[str, bool]]:
        found = candidates(registry, insecure)
        return [(str(way.origin), way.verified) for way in found]

    assert ways("docker.io") == [("https://registry-1.docker.io", True)]
    assert ways("reg.test:5000", "reg.test:5000") == [
        ("https://reg.test:5000", False),
        ("http://reg.test:5000", True),
    ]
    for here in ("localhost", "127.9.9.9:5000", "[::1]:5000"):
        assert ways(here) == [(f"http://{here}", True), (f"https://{here}", True)]


def test_what_is_inside() -> None:
    """Literal private addresses and localhost are inside, names are not."""
    for text in ("http://localhost", "http://192.168.1.1", "http://[fe80::1]"):
        assert is_inside(URL(text))
    assert not is_inside(URL("http://8.8.8.8"))
    assert not is_inside(URL("http://registry.corp"))
    assert not is_loopback(URL("http://registry.corp"))


async def test_an_insecure_registry_in_plain_http() -> None:
    """Named insecure and silent in TLS, a registry is spoken to in plain HTTP."""
    async with FakeRegistry() as fake:
        hold_image(fake)
        async with client(Nobody(), insecure_registries=[fake.host]) as registry:
            assert await registry.head_manifest(reference_at(fake)) is not None


async def test_a_tls_server_that_drops_plain_http(tmp_path: Path) -> None:
    """A server on this machine that hangs up on plain HTTP is asked with TLS."""
    trustme = pytest.importorskip("trustme")
    ca = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(ca.cert_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 404 No\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reference = Reference.parse(f"127.0.0.1:{port}/a:b")
        async with client(Nobody(), ca_file=tmp_path / "ca.pem") as registry:
            assert await registry.head_manifest(reference) is None
        async with client(Nobody()) as registry:
            with pytest.raises(RegistryError, match="not trusted"):
                await registry.head_manifest(reference)


async def test_a_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``HTTP_PROXY`` counts, with its password; netrc does not."""
    async with FakeRegistry() as proxy:
        hold_image(proxy)
        monkeypatch.setenv("http_proxy", f"http://me:pw@{proxy.host}")
        monkeypatch.setenv("no_proxy", "")
        reference = Reference.parse("registry.invalid:81/team/app:1")
        async with client(
            Nobody(), insecure_registries=["registry.invalid:81"]
        ) as registry:
            assert await registry.head_manifest(reference) is not None
        (seen,) = proxy.received
        assert seen.headers["Host"] == "registry.invalid:81"
        assert seen.headers["Proxy-Authorization"].startswith("Basic ")
        monkeypatch.setenv("http_proxy", proxy.host)
        async with client(
            Nobody(), insecure_registries=["registry.invalid:81"]
        ) as registry:
            assert await registry.head_manifest(reference) is not None


# Challenges and scopes


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        (["Negotiate"], None),
        (['realm="x"'], None),
        (["basic"], Basic()),
        (['Basic realm="a, b"'], Basic()),
        (["Bearer service=x"], None),
        (
            ['Basic realm="a", Bearer realm="https://r/t" , service="s \\"q\\""'],
            Bearer("https://r/t", 's "q"'),
        ),
        (
            ['Basic realm="a"', 'BEARER Realm=https://r,scope="repository:a/b:pull x"'],
            Bearer("https://r", "", (Scope.pull("a/b"),)),
        ),
    ],
)
def test_challenges(headers: list[str], expected: object) -> None:
    """Several headers, several challenges in one, quotes and cases."""
    assert read_challenges(headers) == expected


@given(st.lists(st.text(), max_size=3))
def test_any_header_is_read(headers: list[str]) -> None:
    """Whatever a server sends, reading it does not fail."""
    assert isinstance(read_challenges(headers), Basic | Bearer | None)


NAMES = st.sampled_from(["a", "b/c"])
SCOPES = st.builds(
    Scope, NAMES, st.frozensets(st.sampled_from(["pull", "push", "delete"]), min_size=1)
)


@given(
    st.lists(SCOPES, max_size=2, unique_by=lambda s: s.repository).map(tuple),
    st.lists(SCOPES, max_size=3).map(tuple),
)
def test_merged_scopes_cover_both(
    wanted: tuple[Scope, ...], asked: tuple[Scope, ...]
) -> None:
    """Nothing wanted or asked for is lost, and each repository occurs once."""
    merged = merge_scopes(wanted, asked)
    for scope in (*wanted, *asked):
        assert any(have.covers(scope) for have in merged)
    assert len({scope.repository for scope in merged}) == len(merged)
    if not asked:
        assert merged == wanted
