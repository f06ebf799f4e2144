"""The stores: each kind does the same, and says what is wrong when it cannot."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from aweigh.backends.objects.deadlines import Deadlines
from aweigh.backends.objects.opening import open_store
from aweigh.backends.objects.parts import AT_ONCE, PartSizes
from aweigh.bundle.store import Store
from aweigh.errors import (
    BundleNotFoundError,
    SettingsError,
    StoreError,
    StoreUnavailableError,
)
from aweigh.events import Event, Retried, silent
from tests.services import Services

MIB = 1 << 20
SECRET = "canary-secret-key"


def use_s3(environment: pytest.MonkeyPatch, endpoint: str) -> None:
    """Set what obstore reads from the environment."""
    environment.setenv("AWS_ENDPOINT_URL", endpoint)
    environment.setenv("AWS_ACCESS_KEY_ID", "canary-access-key")
    environment.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    environment.setenv("AWS_REGION", "us-east-1")


@pytest.fixture
def s3_url(services: Services, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a prefix in the real bucket that no other test uses."""
    use_s3(monkeypatch, services.s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", services.s3_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", services.s3_secret_key)
    return f"s3://{services.s3_bucket}/t/{uuid.uuid4().hex}"


@pytest.fixture(params=["file", "memory", pytest.param("s3", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a store's URL, one of each kind."""
    match request.param:
        case "file":
            return (tmp_path / "a b#\u00e9%20" / "store").as_uri()
        case "memory":
            return f"memory://{uuid.uuid4().hex}"
        case _:
            found: str = request.getfixturevalue("s3_url")
            return found


async def pieces(count: int, size: int = MIB) -> AsyncIterator[bytes]:
    """Yield pieces that differ."""
    for number in range(count):
        yield number.to_bytes(4, "big") * (size // 4)


async def read(store: Store, name: str) -> bytes:
    """Read a whole object."""
    async with aclosing(store.get(name)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_put_head_get(url: str) -> None:
    """What was put is there, with its size, and comes back."""
    async with open_store(url, listener=silent) as store:
        assert store.url == url
        assert await store.head("bundles/a/manifest") is None
        with pytest.raises(BundleNotFoundError, match="bundles/a/manifest"):
            await read(store, "bundles/a/manifest")
        assert await store.put("bundles/a/manifest", b"hello", size=5)
        held = await store.head("bundles/a/manifest")
        assert held is not None
        assert held.size == 5
        assert abs(held.modified_at - time.time()) < 60
        assert await read(store, "bundles/a/manifest") == b"hello"
    async with open_store(url, listener=silent) as again:
        assert await read(again, "bundles/a/manifest") == b"hello"


async def test_objects_are_created_once(url: str) -> None:
    """A second put is refused and changes nothing, small or large."""
    async with open_store(url, listener=silent) as store:
        for name, first in [("small", b"one"), ("large", b"x" * (AT_ONCE + 1))]:
            assert await store.put(name, first, size=None)
            assert not await store.put(name, b"two", size=None)
            assert not await store.put(name, pieces(17), size=None)
            held = await store.head(name)
            assert held is not None
            assert held.size == len(first)


async def test_renewed_objects_are_young_again(url: str) -> None:
    """Small or large, there or not: the object is put, and its age begins anew."""
    async with open_store(url, listener=silent) as store:
        for name, count in [("small", 2), ("large", 18)]:
            await store.renew(name, pieces(count), size=None)
            first = await store.head(name)
            # The S3 server counts in whole seconds.
            await asyncio.sleep(1.1)
            await store.renew(name, pieces(count), size=None)
            again = await store.head(name)
            assert first is not None
            assert again is not None
            assert again.size == first.size == count * MIB
            assert again.modified_at > first.modified_at
            want = b"".join([piece async for piece in pieces(count)])
            assert await read(store, name) == want
            await store.renew(name, b"bytes", size=5)
            assert await read(store, name) == b"bytes"


async def test_failed_renewal_leaves_what_was_there(url: str) -> None:
    """A source that breaks, early or late, takes nothing from the old object."""

    async def failing(count: int) -> AsyncIterator[bytes]:
        async for piece in pieces(count):
            yield piece
        raise LookupError("the source broke")

    async with open_store(url, listener=silent) as store:
        await store.put("object", b"old", size=3)
        for count in (2, 24):
            with pytest.raises(LookupError, match="the source broke"):
                await store.renew("object", failing(count), size=None)
            assert await read(store, "object") == b"old"


@pytest.mark.parametrize("how", ["bytes", "pieces"])
async def test_what_a_power_cut_left_empty_is_put_again(
    tmp_path: Path, how: str
) -> None:
    """A file without a byte is what a journal keeps of an object: it is no object."""
    (tmp_path / "packs").mkdir()
    lost = tmp_path / "packs" / "lost"
    lost.touch()
    async with open_store(tmp_path.as_uri(), listener=silent) as store:
        assert await store.head("packs/lost") is None
        body = b"whole" if how == "bytes" else pieces(1)
        assert await store.put("packs/lost", body, size=None)
        assert not await store.put("packs/lost", b"other", size=None)
        held = await store.head("packs/lost")
        assert held is not None
        assert held.size == (5 if how == "bytes" else MIB)
    assert [path.name for path in tmp_path.rglob("*")] == ["packs", "lost"]


async def test_large_objects_are_on_the_disk_before_they_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be left cut anywhere is waited for; small objects are not."""
    seen: list[list[str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append([path.name for path in tmp_path.iterdir()])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    async with open_store(tmp_path.as_uri(), listener=silent) as store:
        await store.put("small", b"x" * MIB, size=None)
        assert not seen
        await store.put("large", pieces(5), size=None)
    [names] = seen
    assert "large" not in names


async def test_racing_small_puts_have_one_winner(url: str) -> None:
    """Of ten writers at the same moment, exactly one creates the object."""
    async with open_store(url, listener=silent) as store:
        bodies = [str(number).encode() for number in range(10)]
        won = await asyncio.gather(
            *(store.put("raced", body, size=1) for body in bodies)
        )
        assert won.count(True) == 1
        assert await read(store, "raced") == bodies[won.index(True)]


@pytest.mark.parametrize("count", [1, 15, 20])
async def test_streams_of_any_length(url: str, count: int) -> None:
    """Below and above one request's worth, what went in comes out."""
    async with open_store(url, listener=silent) as store:
        assert await store.put("object", pieces(count), size=count * MIB)
        want = b"".join([piece async for piece in pieces(count)])
        assert await read(store, "object") == want


async def test_failing_source_leaves_nothing(url: str) -> None:
    """The source's own error comes out, and the object is not there."""

    async def failing(count: int) -> AsyncIterator[bytes]:
        async for piece in pieces(count):
            yield piece
        raise LookupError("the source broke")

    async with open_store(url, listener=silent) as store:
        for count in (2, 24):
            with pytest.raises(LookupError, match="the source broke"):
                await store.put("object", failing(count), size=None)
            assert await store.head("object") is None


def multipart_uploads(services: Services) -> str:
    """Ask the S3 server for uploads that were neither finished nor given up."""
    request = Request(  # noqa: S310 - a fixed scheme
        f"{services.s3_endpoint}/{services.s3_bucket}?uploads",
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=aweigh/x/us-east-1/s3"},
    )
    with urlopen(request) as answer:  # noqa: S310 - a fixed scheme
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize("before", [4, 20])
async def test_cancelled_put_leaves_nothing(
    url: str, before: int, request: pytest.FixtureRequest
) -> None:
    """Cancelled in the middle, there is no object and there are no parts."""
    reached = asyncio.Event()
    go_on = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        async for piece in pieces(before):
            yield piece
        reached.set()
        await asyncio.wait([asyncio.create_task(go_on.wait())], timeout=0.3)
        async for piece in pieces(30):
            yield piece

    async with open_store(url, listener=silent) as store:
        putting = asyncio.create_task(store.put("object", stuck(), size=None))
        await reached.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert await store.head("object") is None
    if url.startswith("s3"):
        prefix = url.split("/", 3)[3]
        services = request.getfixturevalue("services")
        assert prefix not in multipart_uploads(services)
    if url.startswith("file"):
        assert not _files(url)


def _files(url: str) -> list[Path]:
    root = Path(Request(url).selector)  # noqa: S310 - only taken apart
    return [path for path in root.rglob("*") if path.is_file()]


async def test_cancelling_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A source that never comes back is given up after the abort deadline."""

    async def stuck() -> AsyncIterator[bytes]:
        async for piece in pieces(20):
            yield piece
        await asyncio.sleep(600)

    deadlines = Deadlines(abort=0.1)
    store_url = (tmp_path / "store").as_uri()
    async with open_store(store_url, listener=silent, deadlines=deadlines) as store:
        putting = asyncio.create_task(store.put("object", stuck(), size=None))
        await asyncio.sleep(0.2)
        putting.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await putting
        assert await store.head("object") is None


def test_killed_put_leaves_nothing_visible(tmp_path: Path) -> None:
    """Kill -9 in the middle of a put to a directory leaves no object."""
    url = (tmp_path / "store").as_uri()
    code = (
        "import asyncio, sys\n"
        "from aweigh.backends.objects.opening import open_store\n"
        "from aweigh.events import silent\n"
        "async def body():\n"
        "    for number in range(1 << 20):\n"
        "        if number == 24: print('go', flush=True)\n"
        "        if number >= 24: await asyncio.sleep(0.01)\n"
        "        yield bytes(1 << 20)\n"
        "async def main():\n"
        "    async with open_store(sys.argv[1], listener=silent) as store:\n"
        "        await store.put('bundles/a/pack.tar.zst', body(), size=None)\n"
        "asyncio.run(main())"
    )
    child = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"go\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()

    async def look() -> None:
        async with open_store(url, listener=silent) as store:
            assert await store.head("bundles/a/pack.tar.zst") is None
            assert await store.put("bundles/a/pack.tar.zst", b"whole", size=5)
            assert await read(store, "bundles/a/pack.tar.zst") == b"whole"

    assert len(_files(url)) == 1
    asyncio.run(look())
    assert [path.name for path in _files(url)] == ["pack.tar.zst"]


async def test_what_others_write_is_not_swept(tmp_path: Path) -> None:
    """A second store in the same directory leaves alone what the first one writes."""
    url = (tmp_path / "store").as_uri()
    reached = asyncio.Event()
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"one "
        reached.set()
        await go_on.wait()
        yield b"two"

    async with open_store(url, listener=silent) as store:
        putting = asyncio.create_task(store.put("object", slow(), size=None))
        await reached.wait()
        async with open_store(url, listener=silent) as other:
            assert await other.put("another", b"1", size=1)
        go_on.set()
        assert await putting
        assert await read(store, "object") == b"one two"
    assert len(_files(url)) == 2


async def test_file_systems_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no links, objects are renamed into place, once all the same."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    async with open_store((tmp_path / "s").as_uri(), listener=silent) as store:
        assert await store.put("a/b", pieces(2), size=None)
        assert not await store.put("a/b", pieces(1), size=None)
        held = await store.head("a/b")
        assert held is not None
        assert held.size == 2 * MIB
        assert await store.head("a") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not named by a URL"),
        ("/srv/store", "not named by a URL"),
        ("ftp://host/x", "ftp"),
        ("s3://", "no bucket"),
        ("s3://bucket//x", "no bucket"),
        ("s3://bucket/../x", "no bucket"),
        ("s3://bucket/a b", "no bucket"),
        ("file://host/x", "absolute directory"),
        ("file:relative", "not named by a URL"),
        ("file:///a/../b", "absolute directory"),
        ("file:///a%00b", "absolute directory"),
        (f"s3://key:{SECRET}@bucket/x", "user name"),
        (f"az://container/x?sig={SECRET}", "query"),
        (f"s3://bucket/x#{SECRET}", "fragment"),
    ],
)
async def test_bad_urls_are_refused(text: str, told: str) -> None:
    """What is no store's URL is an error that says what is, and no secret."""
    with pytest.raises(SettingsError, match=told) as caught:
        async with open_store(text, listener=silent):
            pass
    assert caught.value.hint
    assert SECRET not in f"{caught.value} {caught.value.__notes__}"


async def test_unusable_configuration_is_a_settings_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the environment lacks is said when the store is opened."""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SettingsError, match="az://container"):
        async with open_store("az://container/x", listener=silent):
            pass


async def test_missing_bucket_is_named(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that does not exist is an error of its own, not an absent object."""
    use_s3(monkeypatch, services.s3_endpoint)
    bucket = f"s3://no-{uuid.uuid4().hex}"
    async with open_store(bucket, listener=silent) as store:
        for asking in (
            store.put("x", b"1", size=1),
            store.put("x", pieces(20), size=1),
            read(store, "x"),
        ):
            with pytest.raises(StoreError, match="does not exist") as caught:
                await asking
            assert "bucket" in caught.value.hint


Answer = bytes | Callable[[bytes], bytes]


@dataclass
class Endpoint:
    """A server that answers each request with the next of some canned answers."""

    answers: list[Answer]
    requests: int = 0
    stall: bool = False

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one connection's request and close it."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            given = self.answers[min(self.requests, len(self.answers) - 1)]
            self.requests += 1
            if given == b"":
                await asyncio.sleep(30)
            writer.write(given if isinstance(given, bytes) else given(head))
            await writer.drain()
            if self.stall:
                await asyncio.sleep(5)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer(
    status: str, body: bytes = b"", *, length: int | None = None, extra: str = "X-A: b"
) -> bytes:
    """Build an HTTP answer."""
    size = len(body) if length is None else length
    head = (
        f'HTTP/1.1 {status}\r\nContent-Length: {size}\r\nETag: "e"\r\n{extra}\r\n'
        "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@pytest.fixture
async def faulty(
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator["Faulty"]:
    """Return a way to talk to an S3 server that misbehaves."""
    async with AsyncExitStack() as stack:
        yield Faulty(monkeypatch, stack)


class Faulty:
    """Opens stores whose server gives canned answers."""

    def __init__(self, patch: pytest.MonkeyPatch, stack: AsyncExitStack) -> None:
        self._patch = patch
        self._stack = stack
        self.events: list[Event] = []

    async def open(
        self, *answers: Answer, stall: bool = False, **limits: float
    ) -> tuple[Store, Endpoint]:
        """Start a server and open a store on it."""
        endpoint = Endpoint(list(answers), stall=stall)
        server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
        self._stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
        use_s3(self._patch, f"http://127.0.0.1:{port}")
        store = await self._stack.enter_async_context(
            open_store(
                "s3://bucket/prefix",
                listener=self.events.append,
                deadlines=Deadlines(**limits),
            )
        )
        return store, endpoint


DENIED = answer(
    "403 Forbidden",
    f"<Error><Code>AccessDenied</Code><Message>{SECRET}</Message></Error>".encode(),
)


async def test_refusal_is_told_without_secrets(faulty: Faulty) -> None:
    """403 is an error at once, with a hint about credentials and none of them."""
    store, endpoint = await faulty.open(DENIED)
    for asking in (store.head("x"), store.put("x", b"1", size=1), read(store, "x")):
        with pytest.raises(StoreError, match="403") as caught:
            await asking
        assert not isinstance(caught.value, StoreUnavailableError)
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint
        assert SECRET not in f"{caught.value!r} {caught.value.__notes__}"
        assert caught.value.__cause__ is None
    assert endpoint.requests == 3


async def test_passing_faults_are_retried(faulty: Faulty) -> None:
    """After 503 and 429 the third answer counts, and the retries are heard."""
    store, _ = await faulty.open(
        answer("503 Slow Down"), answer("429 Too Many"), answer("404 Not Found")
    )
    assert await store.head("x") is None
    assert len([event for event in faulty.events if isinstance(event, Retried)]) == 2


async def test_lasting_faults_are_unavailability(faulty: Faulty) -> None:
    """Three times 500 is no answer about the object."""
    store, endpoint = await faulty.open(answer("500 Oops"))
    with pytest.raises(StoreUnavailableError, match="500"):
        await store.head("x")
    assert endpoint.requests == 3


async def test_other_refusals_name_the_status(faulty: Faulty) -> None:
    """An answer that fits nothing else is passed on as a number."""
    store, _ = await faulty.open(answer("400 Bad Request", b"<Code>Odd</Code>"))
    with pytest.raises(StoreError, match="400 Odd"):
        await store.put("x", b"1", size=1)


async def test_silence_ends_with_the_deadline(faulty: Faulty) -> None:
    """A server that accepts and says nothing costs one deadline, not for ever."""
    store, _ = await faulty.open(b"", request=0.2, transfer=0.2)
    began = time.monotonic()
    for asking in (store.head("x"), store.put("x", b"1", size=1), read(store, "x")):
        with pytest.raises(StoreUnavailableError, match=r"no answer .* 0\.2 s"):
            await asking
    assert time.monotonic() - began < 3


async def test_nobody_listening_is_unavailability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refused connection says that the store did not answer."""
    use_s3(monkeypatch, "http://127.0.0.1:9")
    async with open_store("s3://bucket/prefix", listener=silent) as store:
        with pytest.raises(StoreUnavailableError, match="did not answer"):
            await store.head("x")


async def test_broken_download_is_taken_up_again(faulty: Faulty) -> None:
    """A body that breaks off is asked for again from where it stopped."""
    body = os.urandom(3 * MIB)

    def rest(head: bytes) -> bytes:
        start = int(head.lower().split(b"range: bytes=")[1].split(b"-")[0])
        extra = f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}"
        return answer("206 Partial Content", body[start:], extra=extra)

    broken = answer("200 OK", body[: 2 * MIB], length=len(body))
    store, endpoint = await faulty.open(broken, rest)
    assert await read(store, "x") == body
    assert endpoint.requests == 2
    assert faulty.events


async def test_download_that_always_breaks_is_an_error(faulty: Faulty) -> None:
    """A body that never comes whole ends in unavailability, not in short data."""
    store, _ = await faulty.open(answer("200 OK", b"x" * 10, length=MIB))
    with pytest.raises(StoreUnavailableError):
        await read(store, "x")


async def test_stalled_download_is_cut(faulty: Faulty) -> None:
    """A body that stops coming ends with the deadline for a piece."""
    store, _ = await faulty.open(
        answer("200 OK", b"x", length=MIB), stall=True, piece=0.2
    )
    with pytest.raises(StoreUnavailableError, match="no answer"):
        await read(store, "x")


async def test_store_without_conditions_is_asked_first(faulty: Faulty) -> None:
    """Where the server knows no If-None-Match, a HEAD stands in for it."""
    store, _ = await faulty.open(
        answer("501 Not Implemented", b"<Code>NotImplemented</Code>"),
        answer("404 Not Found"),
        answer("200 OK"),
    )
    assert await store.put("x", b"1", size=1)


async def test_missing_credentials_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment holds none, the error says so, not 'no answer'."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    async with open_store(
        "s3://bucket/x", listener=silent, deadlines=Deadlines(request=2)
    ) as store:
        with pytest.raises(StoreError) as caught:
            await store.head("x")
    text = str(caught.value)
    assert "no credentials" in text or "no answer" in text


def on_small_disk(script: str, *, options: str) -> subprocess.CompletedProcess[str]:
    """Run shell commands with a 256 KiB file system of its own at $DISK."""
    return subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-ec",
            f'mount -t tmpfs -o size=256k{options} tmpfs "$DISK"; {script}',
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ},  # noqa: TID251 - a subprocess needs PATH
    )


PUT = """
import asyncio, sys
from aweigh.backends.objects.opening import open_store
from aweigh.errors import StoreError
from aweigh.events import silent
async def body():
    for _ in range(20): yield bytes(1 << 20)
async def main():
    async with open_store(sys.argv[1], listener=silent) as store:
        for what in (bytes(1 << 20), body()):
            try: await store.put("bundles/a/pack", what, size=None)
            except StoreError as error: print(error, "|", error.hint)
asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(
    ("options", "number"), [("", errno.ENOSPC), (",ro", errno.EROFS)]
)
def test_disk_faults_name_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, number: int
) -> None:
    """A full or read-only disk is an error with the directory and a next step."""
    monkeypatch.setenv("DISK", str(tmp_path))
    url = (tmp_path / "store").as_uri()
    ran = on_small_disk(f"'{sys.executable}' -c '{PUT}' {url}", options=options)
    if "unshare" in ran.stderr or "mount" in ran.stderr:
        pytest.skip("this machine lets nobody mount")
    lines = ran.stdout.splitlines()
    assert len(lines) == 2, ran.stderr
    for line in lines:
        assert str(tmp_path / "store") in line
        assert os.strerror(number) in line
        assert "store" in line.rpartition("|")[2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_directory_of_another_user_is_named() -> None:
    """No permission is an error, both to make the directory and to write into it."""
    become = PUT.replace(
        "async def body",
        # Before it is somebody who may not read this interpreter's files.
        "import os, concurrent.futures.thread; os.setuid(65534)\nasync def body",
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("new", "there"):
            store = Path(folder) / name / "store"
            if name == "there":
                store.mkdir(parents=True)
            ran = subprocess.run(
                [sys.executable, "-c", become, store.as_uri()],
                check=False,
                capture_output=True,
                text=True,
                cwd="/",
            )
            assert str(store) in ran.stdout, ran.stderr
            assert os.strerror(errno.EACCES) in ran.stdout


async def test_file_in_place_of_a_directory(tmp_path: Path) -> None:
    """A store whose directory is a file is an error that names it."""
    (tmp_path / "store").write_text("not a directory")
    url = (tmp_path / "store").as_uri()
    async with open_store(url, listener=silent) as store:
        assert await store.head("x") is None
        with pytest.raises(StoreError, match="store"):
            await store.put("x", b"1", size=1)


async def test_reading_makes_no_directory(tmp_path: Path) -> None:
    """Looking into a store that is not there leaves it so; the umask makes modes."""
    path = tmp_path / "store"
    old = os.umask(0o027)
    try:
        async with open_store(path.as_uri(), listener=silent) as store:
            assert await store.head("x") is None
            with pytest.raises(BundleNotFoundError):
                await read(store, "x")
            assert not path.exists()
            assert await store.put("x", b"1", size=1)
        assert path.stat().st_mode & 0o777 == 0o750
    finally:
        os.umask(old)


def test_parts_grow_with_the_object() -> None:
    """No upload needs more than 10 000 parts or holds more than 64 MiB, or one part."""
    for size in (None, 0, AT_ONCE, 1 << 30, 70 << 30, 1 << 40, 5 << 40):
        sizes = PartSizes.of(size)
        assert sizes.part >= 5 * MIB
        assert -(-(size or 0) // sizes.part) <= 10_000
        assert sizes.at_once >= 1
        assert sizes.at_once == 1 or sizes.part * sizes.at_once <= 64 * MIB
