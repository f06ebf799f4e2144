"""The fault proxy by itself, in front of a fake registry and of sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from aweigh.testing import FakeRegistry, FaultProxy
from aweigh.testing.proxy_faults import (
    Answer,
    CutRequest,
    CutResponse,
    Damage,
    Delay,
    Drip,
    Garbage,
    Hang,
    Redirect,
    Reset,
    Rewrite,
    Stall,
    Truncate,
)

TYPE = "application/vnd.oci.image.manifest.v1+json"
CONTENT = b"0123456789" * 20
PATH = "/v2/a/manifests/1"


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    """Return a registry with one document."""
    async with FakeRegistry() as registry:
        registry.add_manifest("a", "1", CONTENT, TYPE)
        yield registry


@pytest.fixture
async def proxy(fake: FakeRegistry) -> AsyncIterator[FaultProxy]:
    """Return a proxy in front of it."""
    async with FaultProxy(fake.host) as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Return an HTTP client that asks for the document's type."""
    async with aiohttp.ClientSession(headers={"Accept": TYPE}) as session:
        yield session


@pytest.fixture
def get(
    proxy: FaultProxy, http: aiohttp.ClientSession
) -> Callable[[], Awaitable[tuple[int, bytes]]]:
    """Return a function that reads the document through the proxy."""

    async def ask() -> tuple[int, bytes]:
        async with http.get(f"http://{proxy.address}{PATH}?q=1") as answer:
            return answer.status, await answer.read()

    return ask


Get = Callable[[], Awaitable[tuple[int, bytes]]]


async def test_without_faults_it_only_looks(proxy: FaultProxy, get: Get) -> None:
    """Answers pass unchanged; requests and connections are counted and kept."""
    assert await get() == (200, CONTENT)
    assert await get() == (200, CONTENT)
    assert proxy.connections == 2
    (first, _) = proxy.requests("GET", "manifests/1$")
    assert (first.path, first.query, first.headers["Accept"]) == (PATH, "q=1", TYPE)
    assert proxy.requests("PUT") == []


async def test_faults_have_an_order_and_an_end(proxy: FaultProxy, get: Get) -> None:
    """`next` takes one request each, `always` the others, `clear` ends both."""
    proxy.always(Answer(418))
    proxy.always(Answer(410))
    proxy.next(Answer(429), Answer(503))
    proxy.next(Answer(599), method="PUT")
    proxy.next(Answer(599), path="/blobs/")
    assert [(await get())[0] for _ in range(4)] == [429, 503, 410, 410]
    proxy.clear()
    assert (await get())[0] == 200


async def test_answers_are_complete(
    fake: FakeRegistry, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    """Status, headers and body arrive; a HEAD gets no body, the service nothing."""
    proxy.always(Answer(799, b"slow down", {"Retry-After": "7"}))
    for method, body in (("GET", b"slow down"), ("HEAD", b"")):
        async with http.request(method, f"http://{proxy.address}/v2/") as answer:
            assert answer.status == 799
            assert answer.headers["Retry-After"] == "7"
            assert answer.headers["Content-Length"] == "9"
            assert await answer.read() == body
    assert fake.received == []


async def test_an_early_answer_arrives_although_the_client_still_sends(
    proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    """A refusal is read even when megabytes are on their way."""
    proxy.next(Answer(413))
    async with http.put(
        f"http://{proxy.address}/v2/", data=BytesIO(bytes(4 << 20))
    ) as answer:
        assert answer.status == 413


async def test_redirects_keep_the_path(
    proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    """The place may hold the path that was asked for."""
    proxy.next(Redirect("http://elsewhere.example{path}", status=308))
    async with http.get(
        f"http://{proxy.address}{PATH}", allow_redirects=False
    ) as answer:
        assert answer.status == 308
        assert answer.headers["Location"] == f"http://elsewhere.example{PATH}"


@pytest.mark.parametrize(
    "fault",
    [
        Reset(),
        Garbage(),
        Truncate(7),
        CutResponse(after=0),
        CutResponse(after=5),
        CutResponse(after=60, reset=False),
        CutRequest(0),
    ],
)
async def test_broken_answers_break_the_client(
    proxy: FaultProxy, get: Get, fault: Reset
) -> None:
    """Whatever is half an answer is an error at the client, and over after that."""
    # Not `next`: the HTTP client makes a second attempt by itself.
    proxy.always(fault)
    with pytest.raises(aiohttp.ClientError):
        await get()
    proxy.clear()
    assert await get() == (200, CONTENT)


async def test_a_reset_is_told_from_an_end(proxy: FaultProxy) -> None:
    """One is RST, the other FIN, as far as a client can see."""
    request = f"GET {PATH} HTTP/1.1\r\nHost: a\r\nAccept: {TYPE}\r\n\r\n".encode()
    host, _, port = proxy.address.partition(":")
    for reset in (True, False):
        proxy.next(CutResponse(after=20, reset=reset))
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request)
        try:
            if reset:
                await reader.readexactly(20)
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            else:
                assert await reader.read() == b"HTTP/1.1 200 OK\r\nDoc"
        finally:
            writer.close()


async def test_requests_can_be_cut(
    fake: FakeRegistry, proxy: FaultProxy, http: aiohttp.ClientSession
) -> None:
    """The service gets a part of the content, and then nobody any more."""
    proxy.always(CutRequest(1000), method="PUT")
    with pytest.raises(aiohttp.ClientError):
        await http.put(f"http://{proxy.address}{PATH}", data=BytesIO(bytes(5 << 20)))
    async with asyncio.timeout(5):
        while not fake.received:
            await asyncio.sleep(0.01)
    async with http.get(f"http://{proxy.address}{PATH}") as answer:
        assert await answer.read() == CONTENT


@pytest.mark.parametrize("fault", [Hang(), Stall(0), Stall(30), Drip(pause=0.2)])
async def test_silence_lasts_until_the_client_leaves(
    proxy: FaultProxy, get: Get, fault: Hang
) -> None:
    """The client's own deadline ends it, and the next request is served."""
    proxy.next(fault)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await get()
    assert await get() == (200, CONTENT)


async def test_slow_answers_are_whole(proxy: FaultProxy, get: Get) -> None:
    """What is late or comes in drops is the same in the end."""
    proxy.next(Delay(0.2), Drip(pause=0.001, size=16))
    started = time.monotonic()
    assert await get() == (200, CONTENT)
    assert time.monotonic() - started >= 0.2
    assert await get() == (200, CONTENT)


async def test_answers_can_be_falsified(
    proxy: FaultProxy, http: aiohttp.ClientSession, get: Get
) -> None:
    """Headers are replaced, added and dropped; content differs in one bit."""
    proxy.next(
        Rewrite({"docker-content-digest": "md5:0", "X-New": "1", "Date": None}),
        Damage(2),
    )
    async with http.get(f"http://{proxy.address}{PATH}") as answer:
        assert answer.headers.getall("Docker-Content-Digest") == ["md5:0"]
        assert answer.headers["X-New"] == "1"
        assert "Date" not in answer.headers
        assert await answer.read() == CONTENT
    assert await get() == (200, b"013" + CONTENT[3:])


async def test_it_stands_in_front_of_sockets_too(tmp_path: Path) -> None:
    """What is no HTTP passes through in both directions, a fault taking it whole."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(99):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_unix_server(echo, tmp_path / "s")
    async with FaultProxy(f"unix://{tmp_path}/s") as proxy:
        host, _, port = proxy.address.partition(":")
        proxy.next(Answer(500), method="GET")
        for expected in (b"\x16\x03\x01", b""):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"\x16\x03\x01")
            assert await reader.read(99) == expected
            writer.close()
            proxy.next(CutResponse(after=0, reset=False))
        assert (proxy.connections, proxy.received) == (2, [])
    server.close()


@pytest.fixture
async def plain() -> AsyncIterator[tuple[FaultProxy, list[bytes]]]:
    """Return a proxy in front of a server that keeps what it gets and is wordy."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"X-Old: 1\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with FaultProxy(f"{host}:{port}") as proxy:
        yield proxy, got
    server.close()


Plain = tuple[FaultProxy, list[bytes]]


async def send(proxy: FaultProxy, *pieces: bytes) -> bytes:
    """Send pieces, one after the other, and an end; return the whole answer."""
    host, _, port = proxy.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


async def test_a_head_may_come_in_pieces(plain: Plain) -> None:
    """Heads are put together, and ask for the connection's end."""
    proxy, got = plain
    answer = await send(proxy, b"GET /a HT", b"TP/1.1\r\nConnection: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 100")
    assert answer.endswith(b"hello")
    assert got == [b"GET /a HTTP/1.1\r\nConnection: close\r\n\r\n"]
    assert proxy.requests("GET", "^/a$")


async def test_a_change_of_protocol_is_left_alone(plain: Plain) -> None:
    """What asks for an upgrade keeps its connection."""
    proxy, got = plain
    head = b"POST /attach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    await send(proxy, head)
    assert got == [head]


async def test_interim_answers_are_not_the_answer(plain: Plain) -> None:
    """Faults that look at the head of the answer look at the last one."""
    proxy, _ = plain
    head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    proxy.next(Rewrite({"X-Old": "2"}), Truncate(2), Damage(4), Damage(99))
    assert await send(proxy, head) == b"HTTP/1.1 200 OK\r\nX-Old: 2\r\n\r\nhello"
    assert (await send(proxy, head)).endswith(b"\r\n\r\nhe")
    assert (await send(proxy, head)).endswith(b"\r\n\r\nhelln")
    assert (await send(proxy, head)).endswith(b"\r\n\r\nhello")


async def test_requests_without_an_end_reach_nobody(plain: Plain) -> None:
    """A head that never ends is hung up on."""
    proxy, got = plain
    endless = b"GET / HTTP/1.1\r\nX: " + b"x" * (1 << 18)
    with suppress(ConnectionError):
        assert await send(proxy, endless) == b""
    assert (got, proxy.received) == ([], [])


async def test_nobody_behind_it_is_a_closed_connection(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    """A service that is down looks like one that hangs up."""
    async with FaultProxy(f"unix://{tmp_path}/none") as proxy:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.get(f"http://{proxy.address}/")


async def test_leaving_ends_what_is_under_way(fake: FakeRegistry) -> None:
    """A hanging client is let go when the proxy goes."""
    async with aiohttp.ClientSession() as http:
        async with FaultProxy(fake.host) as proxy:
            proxy.next(Hang())
            task = asyncio.create_task(http.get(f"http://{proxy.address}/"))
            while not proxy.received:
                await asyncio.sleep(0.01)
        with pytest.raises(aiohttp.ClientError):
            await task
