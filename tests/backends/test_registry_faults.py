"""The registry client against registries that fail: what is said, and to whom."""

import asyncio
import gzip
import json
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web

from aweigh.backends.registry import RegistryChecker, RegistryClient, open_registry
from aweigh.errors import (
    AuthenticationError,
    ChangedError,
    InvalidManifestError,
    RegistryError,
    RegistryUnavailableError,
)
from aweigh.events import Event, Retried, silent
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.oci import Reference
from aweigh.oci.manifest import OCI_MANIFEST
from aweigh.testing import (
    FakeRegistry,
    Fault,
    answers,
    cuts,
    drips,
    hangs,
    redirects,
    resets,
)
from tests.backends.registry_support import (
    AMD64,
    CONFIG,
    Nobody,
    blob,
    hold_image,
    reference_at,
)

HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def client(**options: object) -> AsyncIterator[RegistryClient]:
    """Open a client without credentials."""
    defaults = {"listener": silent, "deadline": 5.0}
    async with open_registry(Nobody(), **(defaults | options)) as opened:  # type: ignore[arg-type]
        yield opened


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    """Return a registry that lets everybody in and holds one image."""
    async with FakeRegistry() as registry:
        hold_image(registry)
        yield registry


# What passes


def in_two_seconds() -> str:
    """Return a date for Retry-After."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize("wait", [lambda: "1", in_two_seconds])
async def test_a_429_is_waited_out(fake: FakeRegistry, wait: Callable[[], str]) -> None:
    """Retry-After is honoured, as seconds and as a date, and then the answer counts."""
    events: list[Event] = []
    fake.fail(answers(429, headers={"Retry-After": wait()}))
    started = time.monotonic()
    async with client(listener=events.append) as registry:
        assert await registry.head_manifest(reference_at(fake)) is not None
    assert time.monotonic() - started > 0.9
    (retried,) = [event for event in events if isinstance(event, Retried)]
    assert "429" in retried.reason


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_beyond_the_deadline_is_an_error_with_the_wait(
    fake: FakeRegistry, status: int
) -> None:
    """Nobody waits for an hour; the one who asked learns how long it would be."""
    fake.fail(answers(status, headers={"Retry-After": "3600"}), times=9)
    async with client() as registry:
        with pytest.raises(RegistryUnavailableError, match=str(status)) as caught:
            await registry.head_manifest(reference_at(fake))
    assert caught.value.retry_after == 3600
    assert "3600 s" in caught.value.hint
    assert len(fake.received) == 1


@pytest.mark.parametrize(
    "wait", ["soon", "nan", "Wed, 99 Foo 2026", "Wed, 21 Oct 2015 07:28:00"]
)
async def test_junk_in_retry_after_is_no_wait(fake: FakeRegistry, wait: str) -> None:
    """What cannot be read, or is past, does not stop anybody."""
    fake.fail(answers(429, headers={"Retry-After": wait}))
    async with client() as registry:
        assert await registry.head_manifest(reference_at(fake)) is not None


@pytest.mark.parametrize("fault", [answers(500), answers(502, b"<html>", HTML)])
async def test_a_server_error_passes(fake: FakeRegistry, fault: Fault) -> None:
    """Two failures and a success are a success."""
    fake.fail(fault, times=2)
    async with client() as registry:
        assert await registry.head_manifest(reference_at(fake)) is not None


@pytest.mark.parametrize("fault", [resets(), cuts(b"0123456789" * 100)])
async def test_a_cut_connection_passes(fake: FakeRegistry, fault: Fault) -> None:
    """Half an answer is none, and is asked for again."""
    fake.fail(fault, method="GET")
    async with client() as registry:
        await registry.head_manifest(reference_at(fake))
        assert await registry.get_manifest(reference_at(fake)) is not None


@pytest.mark.parametrize(
    "fault", [answers(500), resets(), cuts(b"01" * 99), answers(503)]
)
async def test_what_does_not_pass_is_unavailable(
    fake: FakeRegistry, fault: Fault
) -> None:
    """After three attempts it is an error, and no answer about the image."""
    fake.fail(fault, times=99)
    async with client() as registry:
        with pytest.raises(RegistryUnavailableError):
            await registry.get_manifest(reference_at(fake))
        verdict = await RegistryChecker(registry).check(
            reference_at(fake), frozenset({AMD64})
        )
    assert isinstance(verdict, Unknown)
    assert verdict.hint


# Deadlines


@pytest.mark.parametrize("fault", [hangs(), drips(b"x" * 9999)])
@pytest.mark.parametrize("ask", ["head", "get", "blob"])
async def test_silence_ends(fake: FakeRegistry, fault: Fault, ask: str) -> None:
    """Neither silence nor a byte now and then holds us beyond the deadline."""
    fake.fail(fault, times=9)
    started = time.monotonic()
    calls: dict[str, Callable[[RegistryClient], Awaitable[object]]] = {
        "head": lambda r: r.head_manifest(reference_at(fake), deadline=0.3),
        "get": lambda r: r.get_manifest(reference_at(fake)),
        "blob": lambda r: r.read_blob(reference_at(fake), blob(b"x" * 9999)),
    }
    async with client(deadline=0.3) as registry:
        with pytest.raises(RegistryError) as caught:
            await calls[ask](registry)
    assert time.monotonic() - started < 2
    if fault.__qualname__.startswith("hangs"):  # type: ignore[attr-defined]
        assert f"no answer from {fake.host} in 0.3 s" in str(caught.value)


async def test_a_dripping_stream_ends(fake: FakeRegistry) -> None:
    """A layer must make progress, not only signs of life."""
    fake.fail(drips(b"x" * 9999))
    async with client(deadline=0.3) as registry:
        pieces = registry.stream_blob(reference_at(fake), blob(b"x" * 9999))
        async with aclosing(pieces):
            with pytest.raises(RegistryUnavailableError, match="no answer"):
                await anext(pieces)


async def test_a_push_that_hangs_ends(fake: FakeRegistry, tmp_path: Path) -> None:
    """A registry that takes everything and says nothing is given up on."""
    content = b"x" * 3_000_000
    file = tmp_path / "layer"
    file.write_bytes(content)
    fake.fail(hangs(), method="PUT", times=9)
    async with client(deadline=0.2) as registry:
        with pytest.raises(RegistryUnavailableError, match="no answer"):
            await registry.push_blob(reference_at(fake), blob(content), file)


async def test_nobody_there() -> None:
    """A refused connection is told as such."""
    async with client() as registry:
        with pytest.raises(RegistryUnavailableError, match="refused"):
            await registry.head_manifest(Reference.parse("127.0.0.1:1/a:b"))


# Answers no registry gives


@pytest.mark.parametrize("status", [200, 404, 403])
async def test_a_login_page_is_no_registry(fake: FakeRegistry, status: int) -> None:
    """HTML is no absence and no presence."""
    fake.fail(answers(status, b"<html>Welcome", HTML), times=99)
    async with client() as registry:
        with pytest.raises(RegistryError, match=r"not a registry \(text/html"):
            await registry.head_manifest(reference_at(fake))
        with pytest.raises(RegistryError, match=r"not a registry \(text/html"):
            await registry.get_manifest(reference_at(fake))
        verdict = await RegistryChecker(registry).check(
            reference_at(fake), frozenset({AMD64})
        )
        with pytest.raises(RegistryError):
            await registry.push_blob(reference_at(fake), blob(b"new"), b"new")
    assert isinstance(verdict, Unknown)


async def test_a_404_of_something_else_is_no_absence(fake: FakeRegistry) -> None:
    """Only a registry's own error code is believed."""
    fake.fail(answers(404, b"404 page not found"), times=2)
    async with client() as registry:
        with pytest.raises(RegistryError, match="answered 404"):
            await registry.head_manifest(reference_at(fake))


async def test_a_bare_404_is_asked_about_once_more(fake: FakeRegistry) -> None:
    """A HEAD without a registry's header says nothing; the GET has the code."""
    fake.fail(answers(404), method="HEAD")
    async with client() as registry:
        missing = reference_at(fake).with_tag("missing")
        assert await registry.head_manifest(missing) is None
    assert [r.method for r in fake.received] == ["HEAD", "GET"]


async def test_a_refused_head_is_asked_as_get(fake: FakeRegistry) -> None:
    """A registry that cannot do HEAD still has the image."""
    fake.fail(answers(405), method="HEAD")
    async with client() as registry:
        assert await registry.head_manifest(reference_at(fake)) is not None


async def test_a_missing_digest_header_is_computed() -> None:
    """The header is optional: the content tells."""
    async with FakeRegistry(says_digest=False) as fake, client() as registry:
        digest = hold_image(fake)
        described = await registry.head_manifest(reference_at(fake))
    assert described is not None
    assert str(described.digest) == digest


async def test_other_content_than_pinned_is_refused(fake: FakeRegistry) -> None:
    """What has another digest than the reference does not come through."""
    pinned, sent = blob(b"other").digest, blob(CONFIG).digest
    typed = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(sent)}
    fake.fail(answers(200, CONFIG, typed), times=2)
    reference = reference_at(fake).with_digest(pinned)
    async with client() as registry:
        for ask in (registry.head_manifest, registry.get_manifest):
            with pytest.raises(RegistryError, match=str(pinned)) as caught:
                await ask(reference)
            assert str(sent) in str(caught.value)


async def test_other_content_than_promised_is_refused(fake: FakeRegistry) -> None:
    """Registries answer with the old header for content their disk changed."""
    promised = blob(b"other").digest
    typed = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": str(promised)}
    fake.fail(answers(200, CONFIG, typed))
    async with client() as registry:
        with pytest.raises(RegistryError, match=str(promised)):
            await registry.get_manifest(reference_at(fake))


@pytest.mark.parametrize("digest", ["sha512:" + "0" * 128, "junk"])
async def test_other_digest_algorithms_are_refused(
    fake: FakeRegistry, digest: str
) -> None:
    """Only sha256 names content."""
    typed = {"Content-Type": OCI_MANIFEST, "Docker-Content-Digest": digest}
    fake.fail(answers(200, b"", typed), times=2)
    async with client() as registry:
        with pytest.raises(RegistryError, match="as digest"):
            await registry.head_manifest(reference_at(fake))


async def test_an_ambiguous_manifest_is_refused(fake: FakeRegistry) -> None:
    """A document that is both kinds is neither, and no verdict (CVE-2021-41190)."""
    both = b'{"schemaVersion":2,"manifests":[],"config":{},"layers":[]}'
    fake.add_manifest("team/app", "both", both, OCI_MANIFEST)
    reference = reference_at(fake).with_tag("both")
    async with client() as registry:
        with pytest.raises(InvalidManifestError):
            await registry.get_manifest(reference)
        verdict = await RegistryChecker(registry).check(reference, frozenset({AMD64}))
    assert isinstance(verdict, Unknown)


async def test_a_big_manifest_is_parsed_off_the_loop(fake: FakeRegistry) -> None:
    """Also a document of many layers comes through."""
    digest = hold_image(fake, tag="big", layers=3000)
    async with client() as registry:
        got = await registry.get_manifest(reference_at(fake).with_tag("big"))
    assert got is not None
    assert str(got[1].digest) == digest


@pytest.mark.parametrize("declared", [True, False])
async def test_an_oversized_answer_is_not_read(
    fake: FakeRegistry, *, declared: bool
) -> None:
    """More than a manifest can be is refused, with bounded memory."""
    body = b"x" * (9 << 20)
    typed = {"Content-Type": OCI_MANIFEST}
    fault = answers(200, body, typed) if declared else _chunked(body, typed)
    fake.fail(fault)
    async with client() as registry:
        with pytest.raises(RegistryError, match="bad answer"):
            await registry.get_manifest(reference_at(fake))


async def test_a_compression_bomb_stays_small(fake: FakeRegistry) -> None:
    """Nothing is decompressed, so kilobytes stay kilobytes."""
    bomb = gzip.compress(b"\0" * (64 << 20))
    typed = {"Content-Type": OCI_MANIFEST, "Content-Encoding": "gzip"}
    fake.fail(answers(200, bomb, typed))
    async with client() as registry:
        tracemalloc.start()
        try:
            with pytest.raises(InvalidManifestError):
                await registry.get_manifest(reference_at(fake))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 16 << 20


async def test_a_huge_error_page_is_cut(fake: FakeRegistry) -> None:
    """An error body is for people; its status counts."""
    fake.fail(answers(500, b"x" * (1 << 20)), times=9)
    async with client() as registry:
        with pytest.raises(RegistryUnavailableError, match="500"):
            await registry.get_manifest(reference_at(fake))


async def test_headers_without_end_are_refused(fake: FakeRegistry) -> None:
    """What is no proper HTTP is an error of ours, not the HTTP client's."""
    fake.fail(answers(200, headers={"X-Long": "x" * 90_000}), times=9)
    async with client() as registry:
        with pytest.raises(RegistryError, match="proper HTTP"):
            await registry.get_manifest(reference_at(fake))


@pytest.mark.parametrize("code", ["DENIED", "é", 7, None])
async def test_the_registry_s_words_are_made_safe(
    fake: FakeRegistry, code: object
) -> None:
    """Codes and messages are shown on one line, without control characters."""
    text = b'{"errors":[{"code":%s,"message":"no\\u001b[31m\\n\\nway"}]}'
    body = text % json.dumps(code).encode()
    fake.fail(answers(400, body, JSON), times=3)
    async with client() as registry:
        with pytest.raises(RegistryError) as caught:
            await registry.get_manifest(reference_at(fake))
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ("no?[31m way" in str(caught.value)) == (code == "DENIED")


# Blobs


@pytest.mark.parametrize("sent", [b"other bytes!", b"short", b"far too many bytes"])
async def test_a_blob_must_be_what_it_should(fake: FakeRegistry, sent: bytes) -> None:
    """Wrong bytes, fewer and more: none of them gets through."""
    wanted = blob(b"right bytes!")
    reference = reference_at(fake)
    fake.fail(answers(200, sent), times=2)
    async with client() as registry:
        with pytest.raises(RegistryError, match=str(wanted.digest)):
            await registry.read_blob(reference, wanted)
        with pytest.raises(RegistryError, match=str(wanted.digest)):
            async for _ in registry.stream_blob(reference, wanted):
                pass


async def test_a_blob_that_is_too_big_is_not_asked_for(fake: FakeRegistry) -> None:
    """The limit is checked before anything is sent."""
    async with client() as registry:
        with pytest.raises(RegistryError, match="at most 3"):
            await registry.read_blob(reference_at(fake), blob(b"1234"), limit=3)
    assert not fake.received


async def test_a_missing_blob_is_an_error(fake: FakeRegistry) -> None:
    """A manifest's blob that is not there is told with its digest."""
    missing = blob(b"missing")
    async with client() as registry:
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
            await registry.read_blob(reference_at(fake), missing)
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
            await anext(registry.stream_blob(reference_at(fake), missing))
        fake.fail(answers(400))
        with pytest.raises(RegistryError, match="400"):
            await registry.has_blob(reference_at(fake), missing.digest)


async def test_a_cut_stream_is_unavailable(fake: FakeRegistry) -> None:
    """Half a layer is an error that passes."""
    content = b"0123456789" * 400_000
    fake.fail(cuts(content))
    async with client() as registry:
        with pytest.raises(RegistryUnavailableError):
            async for _ in registry.stream_blob(reference_at(fake), blob(content)):
                pass


async def test_a_broken_push_starts_over(fake: FakeRegistry, tmp_path: Path) -> None:
    """A transfer that is cut, or whose session is lost, is made again."""
    content = b"0123456789" * 300_000
    file = tmp_path / "layer"
    file.write_bytes(content)
    lost = b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'
    fake.fail(resets(), method="PUT")
    fake.fail(answers(404, lost, JSON), method="PUT")
    async with client() as registry:
        assert await registry.push_blob(reference_at(fake), blob(content), file)
    assert fake.blob("team/app", str(blob(content).digest)) == content


async def test_a_file_that_changed_is_not_pushed(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    """Size differences are found before and while the bytes move."""
    file = tmp_path / "layer"
    file.write_bytes(b"12345")
    longer, shorter = blob(b"x" * 3_000_000), blob(b"x" * 10)
    async with client() as registry:
        for wrong, source in ((longer, file), (shorter, b"12345")):
            with pytest.raises(ChangedError):
                await registry.push_blob(reference_at(fake), wrong, source)
        assert not fake.received

        for size in (2_000_000, 4_000_000):
            file.write_bytes(b"x" * 3_000_000)

            async def change(
                request: web.Request, /, size: int = size
            ) -> web.StreamResponse:
                file.write_bytes(b"x" * size)
                place = {"Location": "/v2/team/app/blobs/uploads/any"}
                return await answers(202, headers=place)(request)

            fake.fail(change, method="POST")
            with pytest.raises(ChangedError, match="layer"):
                await registry.push_blob(reference_at(fake), longer, file)


async def test_a_file_that_vanished_is_not_pushed(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    """It is told by name, before the push and during it."""
    file = tmp_path / "layer"
    async with client() as registry:
        with pytest.raises(ChangedError, match="layer cannot be read"):
            await registry.push_blob(reference_at(fake), blob(b"abc"), file)
        assert not fake.received
        file.write_bytes(b"abc")

        async def vanish(request: web.Request, /) -> web.StreamResponse:
            file.unlink()
            place = {"Location": "/v2/team/app/blobs/uploads/any"}
            return await answers(202, headers=place)(request)

        fake.fail(vanish, method="POST")
        with pytest.raises(ChangedError, match="layer cannot be read"):
            await registry.push_blob(reference_at(fake), blob(b"abc"), file)


async def test_wrong_content_is_refused_by_the_registry(fake: FakeRegistry) -> None:
    """Bytes that are not the descriptor's do not become a blob."""
    async with client() as registry:
        with pytest.raises(RegistryError, match="DIGEST_INVALID"):
            await registry.push_blob(reference_at(fake), blob(b"abc"), b"xyz")


@pytest.mark.parametrize("fault", [answers(400), answers(401)])
async def test_a_refused_mount_is_an_upload(fake: FakeRegistry, fault: Fault) -> None:
    """Who cannot mount pushes."""
    fake.fail(fault, method="POST")
    async with client() as registry:
        assert await registry.push_blob(
            reference_at(fake), blob(b"abc"), b"abc", mount_from="team/base"
        )


async def test_a_registry_without_mounts_opens_one_upload() -> None:
    """The 202 to a mount is used: two requests after the HEAD, not three."""
    async with FakeRegistry(mounts=False) as fake, client() as registry:
        fake.add_blob("team/base", b"abc")
        assert await registry.push_blob(
            reference_at(fake), blob(b"abc"), b"abc", mount_from="team/base"
        )
        assert [r.method for r in fake.received] == ["HEAD", "POST", "PUT"]
        assert not fake.open_uploads


@pytest.mark.parametrize("place", [{}, {"Location": "ftp://x/"}])
async def test_an_upload_needs_a_place(
    fake: FakeRegistry, place: dict[str, str]
) -> None:
    """A 202 that does not say where is an error."""
    fake.fail(answers(202, headers=place), method="POST")
    async with client() as registry:
        with pytest.raises(RegistryError, match=r"(where|Location)"):
            await registry.push_blob(reference_at(fake), blob(b"abc"), b"abc")


async def test_a_put_that_stores_something_else_is_refused(fake: FakeRegistry) -> None:
    """The digest the registry answers, and the one that is named, must be the one."""
    other = {"Docker-Content-Digest": str(blob(b"other").digest)}
    fake.fail(answers(201, headers=other), method="PUT")
    reference = reference_at(fake)
    async with client() as registry:
        with pytest.raises(RegistryError, match="expected"):
            await registry.put_manifest(reference, b"{}", OCI_MANIFEST)
        with pytest.raises(RegistryError, match="expected"):
            await registry.put_manifest(
                reference.with_digest(blob(b"other").digest), b"{}", OCI_MANIFEST
            )


async def test_a_registry_that_does_not_delete(fake: FakeRegistry) -> None:
    """Its own words say so."""
    body = b'{"errors":[{"code":"UNSUPPORTED"}]}'
    fake.fail(answers(405, body, JSON), method="DELETE")
    async with client() as registry:
        with pytest.raises(RegistryError, match="UNSUPPORTED") as caught:
            await registry.delete_manifest(reference_at(fake))
        await registry.delete_manifest(reference_at(fake))
        assert await registry.head_manifest(reference_at(fake)) is None
    assert "does not allow" in caught.value.hint


async def test_the_probe_tells_refusals_from_faults(fake: FakeRegistry) -> None:
    """403 and 405 are no, an uncancellable upload is yes, a fault is raised."""
    reference = reference_at(fake)
    async with client() as registry:
        for status in (401, 403, 405):
            fake.fail(answers(status), method="POST")
            assert not await registry.can_push(reference)
        fake.fail(answers(400), method="DELETE")
        assert await registry.can_push(reference)
        fake.fail(answers(202), method="POST")
        assert await registry.can_push(reference)
        fake.fail(answers(500), method="DELETE", times=3)
        assert await registry.can_push(reference)
        fake.fail(answers(400), method="POST")
        with pytest.raises(RegistryError, match="400"):
            await registry.can_push(reference)


async def test_cancelling_a_push_leaves_no_blob(
    fake: FakeRegistry, tmp_path: Path
) -> None:
    """A cancelled push ends at once, and the registry holds nothing new."""
    content = b"x" * 3_000_000
    file = tmp_path / "layer"
    file.write_bytes(content)
    fake.fail(hangs(), method="PUT")
    async with client() as registry:
        task = asyncio.create_task(
            registry.push_blob(reference_at(fake), blob(content), file)
        )
        while not fake.requests("PUT"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert fake.blob("team/app", str(blob(content).digest)) is None


# The checker


async def test_verdicts_on_a_vanishing_image(fake: FakeRegistry) -> None:
    """Gone between two questions, or with a config that is none: unknown."""
    gone = b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'
    wanted = frozenset({AMD64})
    async with client() as registry:
        checker = RegistryChecker(registry)
        assert isinstance(await checker.check(reference_at(fake), wanted), Present)
        fake.fail(answers(404, gone, JSON), method="GET")
        verdict = await checker.check(reference_at(fake), wanted)
        assert isinstance(verdict, Unknown)
        assert "vanished" in verdict.reason
        for config in (b"{", b"[]", b'{"os": 3}', b'{"os":"linux"}'):
            tag = hold_image(fake, tag="odd", config=config)
            assert tag
            odd = await checker.check(reference_at(fake).with_tag("odd"), wanted)
            assert isinstance(odd, Unknown)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_without_credentials_is_unknown(
    fake: FakeRegistry, status: int
) -> None:
    """Nobody is asked to push for somebody who is nobody."""
    fake.fail(answers(status), times=99)
    async with client() as registry:
        with pytest.raises(AuthenticationError):
            await registry.head_manifest(reference_at(fake))
        verdict = await RegistryChecker(registry).check(
            reference_at(fake), frozenset({AMD64})
        )
    assert isinstance(verdict, Unknown)
    assert verdict.hint == f"docker login {fake.host}"
    assert not fake.requests("POST")


async def test_absence_is_told(fake: FakeRegistry) -> None:
    """An honest 404 is Absent, with the image's name."""
    async with client() as registry:
        verdict = await RegistryChecker(registry).check(
            reference_at(fake).with_tag("no"), frozenset({AMD64})
        )
    assert isinstance(verdict, Absent)
    assert "team/app:no" in verdict.reason


def _chunked(body: bytes, headers: dict[str, str]) -> Fault:
    async def fault(request: web.Request, /) -> web.StreamResponse:
        response = web.StreamResponse(headers=headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(body)
        return response

    return fault


async def test_too_many_redirects(fake: FakeRegistry) -> None:
    """A loop of redirects ends."""
    fake.fail(redirects("/v2/team/app/manifests/1"), times=99)
    async with client() as registry:
        with pytest.raises(RegistryError, match="more than 5 redirects"):
            await registry.get_manifest(reference_at(fake))
