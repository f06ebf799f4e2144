"""The fake registry by itself, as anybody's HTTP client sees it."""

import hashlib

import aiohttp
import pytest

from aweigh.testing import FakeRegistry, answers, cuts, drips, resets

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


async def test_it_holds_what_it_is_given() -> None:
    """Blobs and manifests that were pushed come back; others are 404."""
    digest = "sha256:" + hashlib.sha256(b"abc").hexdigest()
    async with FakeRegistry() as fake, aiohttp.ClientSession() as http:
        base = f"http://{fake.host}/v2/a"
        async with http.post(f"{base}/blobs/uploads/") as begun:
            place = f"http://{fake.host}{begun.headers['Location']}&digest={digest}"
        assert fake.open_uploads == 1
        async with http.put(place, data=b"abc") as put:
            assert put.status == 201
        async with http.get(f"{base}/blobs/{digest}") as got:
            assert await got.read() == b"abc" == fake.blob("a", digest)
        async with http.delete(f"{base}/blobs/{digest}") as kept:
            assert kept.status == 404
        typed = {"Content-Type": MANIFEST}
        async with http.put(
            f"{base}/manifests/1", data=b"{}", headers=typed
        ) as written:
            named = written.headers["Docker-Content-Digest"]
        for name, accept, status in (
            ("1", MANIFEST, 200),
            (named, MANIFEST, 200),
            ("1", "*/*", 404),
            ("2", MANIFEST, 404),
        ):
            async with http.get(
                f"{base}/manifests/{name}", headers={"Accept": accept}
            ) as answer:
                assert answer.status == status
        async with http.put(place, data=b"abc") as again:
            assert again.status == 404
        async with http.get(f"http://{fake.host}/v1/") as old:
            assert old.status == 404
    assert [r.query for r in fake.requests("GET", "/v1")] == [""]


async def test_tokens_have_rights() -> None:
    """A token is good for its repository, its action and its life."""
    async with (
        FakeRegistry(challenge="bearer") as fake,
        aiohttp.ClientSession() as http,
    ):
        fake.add_manifest("a", "1", b"{}", MANIFEST)

        async def status(name: str, token: str) -> int:
            async with http.get(
                f"http://{fake.host}/v2/{name}/manifests/1",
                headers={"Authorization": f"Bearer {token}", "Accept": MANIFEST},
            ) as answer:
                return answer.status

        query = {"scope": "repository:a:pull,push"}
        async with http.get(fake.realm, params=query) as granted:
            token = (await granted.json())["token"]
        assert await status("a", token) == 200
        assert await status("b", token) == 401
        fake.tokens.revoke()
        assert await status("a", token) == 401
        async with http.post(fake.realm, data={"refresh_token": ""}) as refused:
            assert refused.status == 401


async def test_faults_come_once_each() -> None:
    """A planned fault takes the requests it is meant for, as often as it was said."""
    async with FakeRegistry() as fake, aiohttp.ClientSession() as http:
        url = f"http://{fake.host}/v2/"
        fake.fail(answers(418), method="GET", path="/v2", times=2)
        async with http.put(url) as other:
            assert other.status == 404
        for status in (418, 418, 404):
            async with http.get(url) as answer:
                assert answer.status == status
        fake.fail(drips(b"abc", pause=0))
        async with http.get(url) as answer:
            assert await answer.read() == b"abc"
        fake.fail(cuts(b"abcdef"))
        with pytest.raises(aiohttp.ClientError):
            async with http.get(url) as answer:
                await answer.read()
        fake.fail(resets(), times=2)
        with pytest.raises(aiohttp.ClientError):
            await http.get(url)
