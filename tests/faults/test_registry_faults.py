"""Rows 17 to 32 of the fault table: registries that fail, and what the user sees."""

import asyncio
import gzip
import json
import os
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aweigh import Image, open_session
from aweigh.backends.registry import open_registry
from aweigh.errors import EngineUnavailableError, RegistryUnavailableError
from aweigh.events import BuildStarted, Retried, Warned, silent
from aweigh.oci import Descriptor, Digest, Reference
from aweigh.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_LAYER_GZIP,
)
from aweigh.testing import FakeRegistry, FaultProxy
from aweigh.testing.proxy_faults import (
    Answer,
    CutRequest,
    CutResponse,
    Damage,
    Drip,
    Garbage,
    Hang,
    Redirect,
    Reset,
    Rewrite,
    Truncate,
)
from tests.faults.scene import Nobody, Scene, log_in, push_image
from tests.services import Services

HTML = {"Content-Type": "text/html; charset=utf-8"}
INDEX = {"Content-Type": OCI_INDEX}
DIGEST = "Docker-Content-Digest"
OUR_TAG = r"/manifests/aw-[0-9a-f]{20}$"
CANARY = "canary-3f7a1c"


def denied(code: str) -> bytes:
    """Return a registry's refusal."""
    return json.dumps({"errors": [{"code": code, "message": "no"}]}).encode()


@pytest.fixture(autouse=True)
async def _no_task_survives() -> AsyncIterator[None]:
    """Find out when a session left something running."""
    before = asyncio.all_tasks()
    yield
    assert not asyncio.all_tasks() - before - {asyncio.current_task()}


# Row 17: 401, 403


async def test_row_17_wrong_password_names_registry_source_and_login(
    scene: Scene,
    services: Services,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """17, registry 401 (htpasswd): registry, credential source, hint; no rebuild."""
    secure = services.secure_registry
    config = log_in(monkeypatch, tmp_path / "docker", **{secure: f"aweigh:{CANARY}"})
    error = await scene.with_settings(
        registry=f"{secure}/t/x", insecure_registries=(secure,)
    ).undecided()
    assert secure in str(error)
    assert f"as 'aweigh' from {config}" in str(error)
    assert f"docker login {secure}" in error.hint
    assert CANARY not in repr((error, error.__notes__, scene.heard.events))


@pytest.mark.parametrize(
    ("status", "headers"),
    [(401, {"WWW-Authenticate": 'Basic realm="x"'}), (401, {}), (403, {})],
)
async def test_row_17_refusals_are_never_missing(
    scene: Scene, proxy: FaultProxy, status: int, headers: dict[str, str]
) -> None:
    """17, registry 401/403: undecided with the way to log in, NEVER "missing"."""
    proxy.always(Answer(status, denied("DENIED"), headers))
    error = await scene.undecided()
    assert f"{proxy.address} refused us without credentials ({status}" in str(error)
    assert f"docker login {proxy.address}" in error.hint
    assert {request.method for request in proxy.received} <= {"HEAD", "GET"}


# Rows 18 and 19: 404


async def test_row_18_asks_for_all_four_types(scene: Scene, proxy: FaultProxy) -> None:
    """18, 404 from wrong Accept: an OCI index is found, for Accept has all types."""
    await scene.plant()
    (head,) = proxy.requests("HEAD", OUR_TAG)
    assert set(head.headers["Accept"].split(", ")) == INDEX_TYPES | MANIFEST_TYPES


async def test_row_19_a_true_404_builds(built: Scene, proxy: FaultProxy) -> None:
    """19, 404 true: the image is built, and the registry has it."""
    image = await built.ensure()
    assert image.origin == "built"
    assert len(built.heard.of(BuildStarted)) == 1
    async with open_registry(Nobody(), listener=silent) as client:
        there = await client.head_manifest(await built.repository())
    assert there is not None
    assert there.digest == image.digest
    assert proxy.requests("PUT", OUR_TAG)


@pytest.mark.parametrize("body", [b"", b"<html>not found", b'{"error": "no route"}'])
async def test_row_19_a_404_of_something_else_decides_nothing(
    scene: Scene, proxy: FaultProxy, body: bytes
) -> None:
    """19, 404 that no registry wrote: undecided, no build."""
    proxy.always(Answer(404, body, HTML))
    assert "is not a registry (text/html" in str(await scene.undecided())


# Row 20: 429


async def test_row_20_retry_after_is_honoured(scene: Scene, proxy: FaultProxy) -> None:
    """20, 429: Retry-After is waited out within the deadline."""
    await push_image(await scene.repository())
    proxy.next(Answer(429, denied("TOOMANYREQUESTS"), {"Retry-After": "1"}))
    started = time.monotonic()
    assert (await scene.ensure()).origin == "found"
    assert time.monotonic() - started >= 1
    (retried,) = scene.heard.of(Retried)
    assert retried.delay >= 1
    assert "429" in retried.reason


async def test_row_20_a_long_wait_is_an_error_with_the_wait(
    scene: Scene, proxy: FaultProxy
) -> None:
    """20, 429 beyond the deadline: an error at once, that says how long to wait."""
    proxy.always(Answer(429, headers={"Retry-After": "3600"}))
    started = time.monotonic()
    error = await scene.undecided()
    assert time.monotonic() - started < 5
    assert "3600 s" in error.hint
    assert len(proxy.received) == 1


# Row 21: 5xx, reset, EOF


@pytest.mark.parametrize(
    "fault",
    [
        Answer(500),
        Answer(502, b"<html>", HTML),
        Answer(503, denied("UNAVAILABLE")),
        Reset(),
        CutResponse(after=0, reset=False),
        CutResponse(after=40),
    ],
)
async def test_row_21_what_passes_is_tried_again(
    scene: Scene, proxy: FaultProxy, fault: Answer
) -> None:
    """21, 5xx, reset, EOF: the next try counts."""
    await push_image(await scene.repository())
    proxy.next(fault, method="HEAD")
    proxy.next(fault, method="GET")
    assert (await scene.ensure()).origin == "found"


async def test_row_21_a_cut_at_every_byte_is_no_answer(
    scene: Scene, proxy: FaultProxy
) -> None:
    """21, connection cut at any byte of the answer: found all the same, never lost."""
    image = await scene.plant()
    async with open_session(scene.settings) as session:
        await session.invalidate(image)
        for after in (*range(0, 320, 31), 318):
            for method in ("HEAD", "GET"):
                proxy.next(
                    CutResponse(after=after, reset=after % 2 == 0), method=method
                )
            plan = await session.explain(scene.spec)
            assert (plan.image.tier, plan.image.digest) == ("registry", image.digest)


async def test_row_21_three_tries_and_then_an_error(
    scene: Scene, proxy: FaultProxy
) -> None:
    """21, 5xx that stay: three tries per question with jittered waits, no rebuild."""
    proxy.always(Answer(500, denied("UNKNOWN")))
    error = await scene.undecided()
    assert f"{proxy.address} answered 500 UNKNOWN" in str(error)
    # HEAD, and the GET that would say more than a HEAD can.
    methods = [request.method for request in proxy.received]
    assert methods == ["HEAD"] * 3 + ["GET"] * 3
    delays = [retried.delay for retried in scene.heard.of(Retried)]
    assert len(delays) == 4
    assert len(set(delays)) == 4
    assert max(delays) <= 0.4


async def test_row_21_writes_are_tried_again_too(
    built: Scene, proxy: FaultProxy
) -> None:
    """21, 5xx and a cut while publishing: the index arrives with the third try."""
    proxy.next(Answer(503), method="PUT", path=OUR_TAG)
    proxy.next(CutRequest(10), method="PUT", path=OUR_TAG)
    image = await built.ensure()
    assert image.origin == "built"
    assert any("503" in retried.reason for retried in built.heard.of(Retried))


async def test_row_21_a_blob_that_is_cut_is_sent_again(
    scene: Scene, proxy: FaultProxy
) -> None:
    """21, upload cut in the middle, refused at its start: the blob arrives whole."""
    content = os.urandom(3 << 20)
    blob = Descriptor(
        media_type=OCI_LAYER_GZIP, digest=Digest.of(content), size=len(content)
    )
    proxy.next(Answer(503), method="POST")
    for after in (0, 2 << 20):
        proxy.next(CutRequest(after), method="PUT", path="/blobs/uploads/")
    reference = Reference.parse(f"{scene.settings.registry}/app:1")
    async with open_session(scene.settings, listener=scene.heard) as session:
        client = await session.backends.registry()  # type: ignore[attr-defined]
        assert await client.push_blob(reference, blob, content)
        assert await client.read_blob(reference, blob) == content
    assert len(scene.heard.of(Retried)) >= 2


async def test_row_21_a_transfer_that_broke_late_is_made_again(
    scene: Scene,
    proxy: FaultProxy,
    deadline: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """21, cut after a long transfer: how long it took does not count against it."""
    assert deadline
    monkeypatch.setattr("aweigh.backends.registry.uploads._LONGEST_WAIT", 0.0)
    content = b"a layer of many gigabytes"
    blob = Descriptor(
        media_type=OCI_LAYER_GZIP, digest=Digest.of(content), size=len(content)
    )
    proxy.next(Hang(), method="PUT", path="/blobs/uploads/")
    reference = Reference.parse(f"{scene.settings.registry}/app:1")
    async with open_session(scene.settings) as session:
        client = await session.backends.registry()  # type: ignore[attr-defined]
        assert await client.push_blob(reference, blob, content)


async def test_row_21_a_write_that_fails_has_all_causes(
    built: Scene, proxy: FaultProxy
) -> None:
    """21, 5xx on every try of a write: all causes are told, nothing is remembered."""
    faults = (Answer(500), Answer(502), Answer(503))
    proxy.next(*faults, method="PUT", path=OUR_TAG)
    with pytest.raises(RegistryUnavailableError, match="503") as caught:
        await built.ensure()
    told = "\n".join(caught.value.__notes__)
    assert "attempt 1 failed with" in told
    assert "500" in told
    assert "502" in told
    # What was built stays in the engine: the second run only writes the index.
    assert (await built.ensure()).origin == "built"


async def test_row_21_a_session_stops_retrying_when_everything_fails(
    scene: Scene, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """21, an outage: all calls of a session share one budget of retries."""
    monkeypatch.setattr("aweigh.concurrency.retry.BASE_DELAY", 0.0)
    proxy.always(Answer(500))
    async with open_session(scene.settings, listener=scene.heard) as session:
        for _ in range(8):
            plan = await session.explain(scene.spec)
            assert plan.image.tier == "undecided"
    assert len(scene.heard.of(Retried)) == 20


# Row 22: silence


@pytest.mark.parametrize("fault", [Hang(), Drip(pause=0.4), Drip(pause=0.05)])
async def test_row_22_silence_has_a_deadline(
    scene: Scene, proxy: FaultProxy, deadline: float, fault: Hang
) -> None:
    """22, accept-and-hang and slowloris: "no answer from X in N s", in N s."""
    proxy.always(fault)
    started = time.monotonic()
    error = await scene.undecided()
    assert time.monotonic() - started < deadline + 2
    assert f"no answer from {proxy.address} in {deadline:g} s" in str(error)


async def test_row_22_a_connection_that_never_comes_about(
    scene: Scene, deadline: float
) -> None:
    """22, connect timeout: the same deadline, the same words."""
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (one, two):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        address = f"127.0.0.1:{full.getsockname()[1]}"
        started = time.monotonic()
        error = await scene.with_settings(registry=f"{address}/t").undecided()
    assert time.monotonic() - started < deadline + 2
    assert f"no answer from {address} in {deadline:g} s" in str(error)


async def test_row_22_a_stale_answer_does_not_wait_for_long(
    scene: Scene, proxy: FaultProxy
) -> None:
    """22, hang while revalidating: two seconds, then memory answers, with a warning."""
    await scene.plant()
    proxy.always(Hang())
    started = time.monotonic()
    warned = await scene.stale()
    assert 1.5 < time.monotonic() - started < 4
    assert "no answer within 2 s" in warned.message


# Row 23: too little, too much


async def test_row_23_a_truncated_body_is_no_answer(
    scene: Scene, proxy: FaultProxy, deadline: float
) -> None:
    """23, truncated body: undecided, and never an image."""
    assert deadline
    await push_image(await scene.repository())
    proxy.always(Truncate(10), method="GET")
    assert "no usable answer" in str(await scene.undecided())


@pytest.mark.parametrize("bomb", [False, True])
async def test_row_23_big_bodies_are_not_read(
    scene: Scene, proxy: FaultProxy, *, bomb: bool
) -> None:
    """23, oversized body, gzip bomb: a bad answer, in bounded memory."""
    await push_image(await scene.repository())
    body = gzip.compress(bytes(128 << 20), 1) if bomb else bytes(32 << 20)
    encoding = {"Content-Encoding": "gzip"} if bomb else {}
    proxy.always(Answer(200, body, INDEX | encoding), method="GET")
    tracemalloc.start()
    try:
        error = await scene.undecided()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    assert ("expected sha256:" if bomb else "bad answer from") in str(error)


# Row 24: wrong digests


async def test_row_24_content_with_another_digest(
    scene: Scene, proxy: FaultProxy
) -> None:
    """24, body != digest: an error that names both digests."""
    digest = await push_image(await scene.repository())
    proxy.always(Damage(9), method="GET")
    error = await scene.undecided()
    assert f"expected {digest}, but {proxy.address} has sha256:" in str(error)


async def test_row_24_content_that_rotted_on_the_registrys_disk(
    scene: Scene, services: Services
) -> None:
    """24, altered blob on the registry's disk: found out, although HEAD is 200."""
    digest = await push_image(await scene.repository())
    path = stored(services, digest)
    path.write_bytes(path.read_bytes().replace(b'"size":', b'"size":1'))
    assert f"expected {digest}" in str(await scene.undecided())


@pytest.mark.parametrize(
    "algorithm", [f"sha512:{'0' * 128}", "md5:0", "junk", "sha256:x"]
)
async def test_row_24_other_algorithms_are_refused(
    scene: Scene, proxy: FaultProxy, algorithm: str
) -> None:
    """24, sha512 or junk in the digest header: sha256 alone is an answer."""
    await push_image(await scene.repository())
    proxy.always(Rewrite({DIGEST: algorithm}))
    error = await scene.undecided()
    assert f"{proxy.address} sent {algorithm[:80]!r} as digest" in str(error)


async def test_row_24_a_missing_header_costs_a_get(
    scene: Scene, proxy: FaultProxy
) -> None:
    """24, digest header missing: the content itself tells its digest."""
    digest = await push_image(await scene.repository())
    proxy.always(Rewrite({DIGEST: None}))
    assert (await scene.ensure()).digest == digest


async def test_row_24_a_header_that_contradicts_the_question(
    scene: Scene, proxy: FaultProxy
) -> None:
    """24, digest header wrong for a HEAD by digest: not verified, both are named."""
    image = await scene.plant()
    other = Digest.of(b"another")
    proxy.always(Rewrite({DIGEST: str(other)}))
    message = (await scene.stale()).message
    assert f"expected {image.digest}, but {proxy.address} has {other}" in message


# Row 25: ambiguous documents


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"manifests": [], "layers": [], "mediaType": OCI_INDEX}, "layers"),
        ({"manifests": [], "config": {}, "mediaType": OCI_INDEX}, "config"),
        ({"manifests": [], "mediaType": min(MANIFEST_TYPES)}, "of itself"),
    ],
)
async def test_row_25_ambiguous_documents_are_rejected(
    scene: Scene, document: dict[str, object], says: str
) -> None:
    """25, ambiguous manifest (CVE-2021-41190), type != Content-Type: no image."""
    async with FakeRegistry() as fake:
        scene = scene.with_settings(registry=f"{fake.host}/t")
        content = json.dumps({"schemaVersion": 2} | document).encode()
        tag = (await scene.repository()).tag
        fake.add_manifest("t/app", tag, content, OCI_INDEX)
        assert says in str(await scene.undecided())


# Row 26: something else answers


@pytest.mark.parametrize("status", [200, 403, 404])
async def test_row_26_a_captive_portal_is_no_registry(
    scene: Scene, proxy: FaultProxy, status: int
) -> None:
    """26, HTML 200, captive portal: "not a registry (text/html"."""
    proxy.always(Answer(status, b"<html>Please log in", HTML))
    error = await scene.undecided()
    assert f"{proxy.address} is not a registry (text/html" in str(error)
    assert "login page" in error.hint


async def test_row_26_what_is_no_http_is_no_registry(
    scene: Scene, proxy: FaultProxy
) -> None:
    """26, garbage in place of HTTP: undecided."""
    proxy.always(Garbage())
    assert proxy.address in str(await scene.undecided())


# Row 27: redirects


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST", "PUT"])
async def test_row_27_credentials_stay_home(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str
) -> None:
    """27, redirect to another host: credentials never follow, whatever is asked."""
    async with (
        FakeRegistry(challenge="basic", password=CANARY) as home,
        FakeRegistry() as elsewhere,
        FaultProxy(home.host) as proxy,
    ):
        log_in(monkeypatch, tmp_path / "docker", **{proxy.address: f"sailor:{CANARY}"})
        scene = scene.with_settings(registry=f"{proxy.address}/t")
        tag = (await scene.repository()).tag
        content = b'{"schemaVersion": 2, "manifests": []}'
        for registry in (home, elsewhere):
            registry.add_manifest("t/app", tag, content, OCI_INDEX)
        reference = Reference.parse(f"{proxy.address}/t/app:{tag}")
        async with open_session(scene.settings) as session:
            client = await session.backends.registry()  # type: ignore[attr-defined]
            assert await client.head_manifest(reference) is not None
            proxy.always(Redirect(f"http://{elsewhere.host}{{path}}"))
            match method:
                case "HEAD" | "GET":
                    plan = await session.explain(scene.spec)
                    assert plan.image.tier == "build"  # for it has no platform
                case "POST":
                    assert await client.can_push(reference)
                case _:
                    await client.put_manifest(reference, content, OCI_INDEX)
    assert any("Authorization" in request.headers for request in home.received)
    assert elsewhere.requests(method)
    for request in elsewhere.received:
        assert CANARY not in repr(dict(request.headers))
        assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    "place", ["ftp://127.0.0.1/x", "http://169.254.169.254/x", "http://a:b@127.0.0.1/x"]
)
async def test_row_27_some_places_are_not_gone_to(
    scene: Scene, proxy: FaultProxy, deadline: float, place: str
) -> None:
    """27, redirect to another scheme, into link-local addresses: refused."""
    proxy.always(Redirect(place))
    error = await scene.undecided()
    assert f"{proxy.address} sent a Location" in str(error)
    assert deadline


# Row 28: evil realms


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/token",
        "https://169.254.169.254/token",
        "https://[fe80::1]/token",
        "http://auth.example/token",
        "ftp://127.0.0.1/token",
    ],
)
async def test_row_28_evil_realms_get_no_password(
    scene: Scene,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    deadline: float,
    realm: str,
) -> None:
    """28, evil WWW-Authenticate realm: refused, nobody is asked."""
    async with FakeRegistry(challenge="bearer") as fake:
        fake.realm = realm
        log_in(monkeypatch, tmp_path / "docker", **{fake.host: f"sailor:{CANARY}"})
        error = await scene.with_settings(registry=f"{fake.host}/t").undecided()
    assert "token service that must not see credentials" in str(error)
    assert CANARY not in repr((error, scene.heard.events))
    assert deadline


# Row 29: token expiry


async def test_row_29_a_token_that_expires_during_the_push(
    built: Scene, proxy: FaultProxy
) -> None:
    """29, token expiry mid-push: one new token for each 401, and the push goes on."""
    async with FakeRegistry() as tokens:
        challenge = f'Bearer realm="{tokens.realm}",service="x"'
        expired = Answer(401, denied("UNAUTHORIZED"), {"WWW-Authenticate": challenge})
        proxy.next(expired, method="HEAD", path=OUR_TAG)
        proxy.next(expired, method="PUT", path=OUR_TAG)
        assert (await built.ensure()).origin == "built"
        assert tokens.tokens.granted == 2
    refused, accepted = proxy.requests("PUT", OUR_TAG)
    assert refused.headers["Authorization"] != accepted.headers["Authorization"]


# Rows 30 to 32: what changes behind the cache


async def test_row_30_an_image_deleted_behind_the_cache(built: Scene) -> None:
    """30, image deleted behind the cache: `invalidate` ends the trust, it is built."""
    image = await built.plant()
    await built.delete(image)
    assert (await built.ensure()).origin == "recalled"
    async with open_session(built.settings, clock=built.clock) as session:
        await session.invalidate(image)
    again = await built.ensure()
    assert (again.origin, again.digest != image.digest) == ("built", True)


async def test_row_30_trust_ends_by_itself(scene: Scene) -> None:
    """30, no endless trust: a stale answer is asked about, and a deletion noticed."""
    await scene.delete(await scene.plant())
    scene.clock.advance(2 * 3600)
    with pytest.raises(EngineUnavailableError):  # it wants to build
        await scene.ensure()


async def test_row_31_a_moved_tag_moves_no_answer(scene: Scene) -> None:
    """31, tag moved: the answer is what was seen, by digest; a new look sees more."""
    image = await scene.plant()
    moved = await push_image(await scene.repository())
    assert moved != image.digest
    scene.clock.advance(2 * 3600)
    again = await scene.ensure()
    assert str(again) == str(image)
    assert str(again).endswith(f"@{image.digest}")
    async with open_session(scene.settings, clock=scene.clock) as session:
        await session.invalidate(image)
        assert (await session.ensure_image(scene.spec)).digest == moved


async def test_row_32_missing_layers_are_not_seen_and_rebuild_mends(
    built: Scene, services: Services
) -> None:
    """32, layers missing though HEAD = 200: found (documented); `rebuild` mends it."""
    image = await built.ensure()
    (layer,) = await layers(built, image)
    path = stored(services, layer)
    path.unlink()
    async with open_session(built.settings, clock=built.clock) as session:
        await session.invalidate(image)
    assert (await built.ensure()).origin == "found"
    assert (await built.ensure(rebuild=True)).origin == "built"
    assert await layers(built, image) == [layer]
    assert path.exists()


# Whatever it is: with an answer in memory, memory answers and says so


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Answer(401), id="row-17-401"),
        pytest.param(Answer(403), id="row-17-403"),
        pytest.param(Answer(404, b"<html>", HTML), id="row-19-not-its-404"),
        pytest.param(Answer(429, headers={"Retry-After": "60"}), id="row-20"),
        pytest.param(Answer(500), id="row-21-500"),
        pytest.param(Reset(), id="row-21-reset"),
        pytest.param(Rewrite({DIGEST: "sha512:0"}), id="row-24"),
        pytest.param(Answer(200, b"<html>", HTML), id="row-26-html"),
        pytest.param(Garbage(), id="row-26-garbage"),
        pytest.param(Redirect("ftp://x/"), id="row-27"),
    ],
)
async def test_rows_17_to_27_a_fault_is_no_news_about_a_remembered_image(
    scene: Scene, proxy: FaultProxy, fault: Answer
) -> None:
    """17 to 27 while revalidating: the row stays, unrenewed, with one warning."""
    await scene.plant()
    proxy.always(fault)
    warned = await scene.stale()
    assert "could not be verified" in warned.message
    assert warned.hint
    assert len(scene.heard.of(Warned)) == 1
    proxy.clear()
    assert (await scene.ensure()).verified_at == scene.clock.now


async def layers(scene: Scene, image: Image) -> list[Digest]:
    """Return the layers of an image, as the registry itself has them."""
    reference = (await scene.repository()).with_digest(image.digest)
    async with open_registry(Nobody(), listener=silent) as client:
        index = await client.get_manifest(reference)
        assert index is not None
        (entry,) = index[0].manifests  # type: ignore[union-attr]
        manifest = await client.get_manifest(reference.with_digest(entry.digest))
    assert manifest is not None
    return [layer.digest for layer in manifest[0].layers]  # type: ignore[union-attr]


def stored(services: Services, digest: Digest) -> Path:
    """Return where the open registry keeps a blob."""
    blobs = services.registry_data / "docker/registry/v2/blobs/sha256"
    return blobs / digest.hex[:2] / digest.hex / "data"
