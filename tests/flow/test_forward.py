"""The forwarder: what HTTP allows arrives as it was sent, on both sides."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from aweigh.flow.forward import Forwarder
from aweigh.flow.upstream import Upstream

Program = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def program(answer: Program) -> AsyncIterator[tuple[str, int]]:
    """Listen as a program would."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


@asynccontextmanager
async def forwarded(
    answer: Program, *, http: bool = True
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Upstream]]:
    """Connect to a program through a forwarder."""
    forwarder = Forwarder(http=http)
    async with (
        program(answer) as address,
        forwarder.listening("127.0.0.1", 0) as port,
    ):
        upstream = forwarder.switch(address)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer, upstream
        finally:
            writer.close()


def saying(*pieces: bytes) -> tuple[Program, list[bytes]]:
    """Return a program that answers each request with the next piece, then closes."""
    heads: list[bytes] = []
    left = list(pieces)

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0))
        await writer.drain()
        writer.close()

    return answer, heads


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n00a\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("request_head", "answer"),
    [
        (GET, OK),
        (GET, CHUNKED),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        (GET, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK),
        (b"HEAD / HTTP/1.1\r\n\r\n", OK[:-2]),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", OK),
    ],
    ids=["length", "chunked", "204", "304", "interim", "head", "http10"],
)
async def test_answers_pass_unchanged_and_the_connection_stays(
    request_head: bytes, answer: bytes
) -> None:
    """Two in a row, also when the client did not wait for the first."""
    if b"HTTP/1.0" in request_head:
        answer = answer.replace(b"OK\r\n", b"OK\r\nConnection: Keep-Alive\r\n")
    server, heads = saying(answer, answer)
    async with forwarded(server) as (reader, writer, _):
        writer.write(request_head + request_head)
        async with asyncio.timeout(10):
            assert await reader.readexactly(2 * len(answer)) == 2 * answer
        assert heads == [request_head] * 2


@pytest.mark.parametrize(
    ("request_head", "answer"),
    [
        (GET, b"HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        (GET, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
        (GET, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", OK),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx"),
    ],
    ids=["endless", "http10", "server", "client", "coded"],
)
async def test_the_connection_ends_when_one_side_says_so(
    request_head: bytes, answer: bytes
) -> None:
    """Or when nothing else tells where the answer ends."""
    server, _ = saying(answer)
    async with forwarded(server) as (reader, writer, _upstream):
        writer.write(request_head)
        async with asyncio.timeout(10):
            assert await reader.read() == answer


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
    ids=["length", "chunk", "size", "interim"],
)
async def test_an_answer_that_breaks_off_is_seen_as_such(answer: bytes) -> None:
    """The client must not take the part for the whole."""
    server, _ = saying(answer)
    async with forwarded(server) as (reader, writer, _):
        writer.write(GET)
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                assert answer.startswith(await reader.read())


async def test_a_program_that_closes_without_an_answer_is_a_502() -> None:
    """So is one that is gone; both say what happened."""
    server, _ = saying(b"")
    async with forwarded(server) as (reader, writer, _):
        writer.write(GET)
        assert (await reader.read()).startswith(b"HTTP/1.1 502 ")
    forwarder = Forwarder(http=True)
    async with forwarder.listening("127.0.0.1", 0) as port:
        forwarder.switch(("127.0.0.1", 1)).gone = "it ended"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert (await reader.read()).endswith(b"does not answer: it ended\n")
        writer.close()


async def test_bodies_are_sent_while_the_answer_may_already_come() -> None:
    """`Expect: 100-continue`, chunked uploads and early refusals work."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"100-continue" in head:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(5)
        elif b"chunked" in head:
            body = await reader.readuntil(b"0\r\n\r\n")
        else:
            body = b"too large"
        size = str(len(body)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: " + size + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async with forwarded(echo) as (reader, writer, _):
        async with asyncio.timeout(10):
            writer.write(
                b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
            )
            assert (
                await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            )
            writer.write(b"hello")
            assert (await reader.readexactly(43)).endswith(b"hello")
            writer.write(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"3\r\nabc\r\n")
            await asyncio.sleep(0.05)
            writer.write(b"0\r\n\r\n")
            assert (await reader.readexactly(52)).endswith(b"3\r\nabc\r\n0\r\n\r\n")
            writer.write(b"PUT / HTTP/1.1\r\nContent-Length: 99999\r\n\r\nab")
            assert (await reader.read()).endswith(b"too large")


async def test_an_upgrade_becomes_a_tunnel() -> None:
    """WebSockets go both ways, and end when drained."""

    async def upgrade(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async with forwarded(upgrade) as (reader, writer, upstream):
        writer.write(b"GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        for line in b"one\n", b"two\n":
            writer.write(line)
            assert await reader.readline() == line.upper()
        draining = asyncio.create_task(upstream.drain(30))
        await asyncio.sleep(0.2)
        assert not draining.done()
        upstream.hurry()
        await asyncio.wait_for(draining, 5)


@pytest.mark.parametrize(
    "greeting",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"hello there\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["http2", "tls", "text", "long"],
)
async def test_what_is_no_http_1_is_passed_on_as_it_is(greeting: bytes) -> None:
    """The program is the one to say what it thinks of it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(greeting)))
        await writer.drain()
        writer.close()

    async with forwarded(echo) as (reader, writer, _):
        writer.write(greeting)
        async with asyncio.timeout(10):
            assert await reader.readexactly(len(greeting)) == greeting


async def test_a_client_that_goes_away_is_noticed() -> None:
    """The program hears of it, although it has nothing to write."""
    gone = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b""
        gone.set()
        writer.close()

    async with forwarded(wait) as (_, writer, upstream):
        writer.write(GET)
        await asyncio.sleep(0.1)
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)
        await asyncio.wait_for(upstream.drain(5), 5)


async def test_a_request_that_takes_too_long_is_ended_by_a_drain() -> None:
    """A version cannot be kept for ever by one client."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with forwarded(hang) as (reader, writer, upstream):
        writer.write(GET)
        await asyncio.sleep(0.1)
        await asyncio.wait_for(upstream.drain(0.2), 5)
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
