"""What is fetched is downloaded once: by many processes, and after a kill."""

import json
import time
import uuid
from pathlib import Path

import pytest

from tests.bundle.counting import CountingProxy, counting_proxy
from tests.bundle.kills import Place, S3Objects, bytes_of, write_code
from tests.services import Services

pytestmark = pytest.mark.real


@pytest.fixture
def there(tmp_path: Path, services: Services) -> tuple[Place, S3Objects]:
    """Return a place and a store on the S3 server."""
    store = S3Objects(services, f"t/{uuid.uuid4().hex}")
    return Place(root=tmp_path, store=store.url, variables=store.variables), store


def uploaded(
    place: Place, store: S3Objects, *, large: int
) -> tuple[str, dict[str, int]]:
    """Upload a tree; return its URI and the size of each of its packs."""
    write_code(place.root / "code", 1, large=large)
    told = json.loads(place.run("bundle", "-q", "--json", "code", whole=True))
    objects = store.objects()
    sizes = {name[6:]: len(body) for name, body in objects.items() if "packs/" in name}
    return told["bundle"], sizes


def same(place: Place, out: Path) -> bool:
    """Whether a directory holds what was uploaded."""
    found = bytes_of(out)
    found.pop(".aweigh-bundle")
    return found == bytes_of(place.root / "code")


def test_eight_processes_download_once(
    there: tuple[Place, S3Objects], services: Services
) -> None:
    """Eight processes want one bundle in one place: each object is asked for once."""
    place, store = there
    try:
        uri, sizes = uploaded(place, store, large=8)
        with counting_proxy(services.s3_endpoint) as proxy:
            place.variables["AWS_ENDPOINT_URL"] = proxy.url
            out = place.root / "here" / "out"
            children = [place.start("fetch", "-q", uri, str(out)) for _ in range(8)]
            told = [child.communicate(timeout=120) for child in children]
        assert [child.returncode for child in children] == [0] * 8, told
        assert proxy.packs(proxy.gets) == dict.fromkeys(sizes, 1)
        assert proxy.packs(proxy.passed) == sizes
        assert sum(proxy.gets.values()) == len(sizes) + 1
        assert same(place, out)
    finally:
        store.empty()


def wait_for(proxy: CountingProxy, count: int) -> None:
    """Wait until so many bytes went to the client."""
    until = time.monotonic() + 60
    while sum(proxy.passed.values()) < count:
        assert time.monotonic() < until
        time.sleep(0.002)


def test_killed_fetches_go_on_where_they_were(
    there: tuple[Place, S3Objects], services: Services
) -> None:
    """Killed four times over: nothing that had come whole is downloaded again."""
    place, store = there
    try:
        uri, sizes = uploaded(place, store, large=1)
        whole = sum(sizes.values())
        out = place.root / "here" / "out"
        with counting_proxy(services.s3_endpoint) as proxy:
            place.variables["AWS_ENDPOINT_URL"] = proxy.url
            proxy.slow = 0.02
            for part in range(1, 5):
                child = place.start("fetch", "-q", uri, str(out))
                wait_for(proxy, part * whole // 6)
                child.kill()
                child.communicate()
                assert not out.exists()
            kept = {
                path.name
                for path in out.parent.glob(".out.aweigh-*/packs/*")
                if not path.suffix
            }
            assert kept
            asked = proxy.packs(proxy.gets)
            proxy.slow = 0
            place.run("fetch", "-q", uri, str(out), whole=True)
            again = proxy.packs(proxy.gets)
        assert {name for name in sizes if again[name] > asked.get(name, 0)} == (
            sizes.keys() - kept
        )
        assert same(place, out)
        left = {path.name for path in out.parent.iterdir()}
        assert left <= {"out", ".aweigh-locks"}
    finally:
        store.empty()


@pytest.mark.parametrize("part", ["as it was", "complete", "longer", "garbled"])
def test_half_a_pack_is_not_downloaded_again(
    there: tuple[Place, S3Objects], services: Services, part: str
) -> None:
    """A large pack goes on at its last byte, unless what is there is no part of it."""
    place, store = there
    try:
        uri, sizes = uploaded(place, store, large=6)
        large = max(sizes, key=lambda name: sizes[name])
        out = place.root / "here" / "out"
        with counting_proxy(services.s3_endpoint) as proxy:
            place.variables["AWS_ENDPOINT_URL"] = proxy.url
            proxy.slow = 0.01
            child = place.start("fetch", "-q", uri, str(out))
            wait_for(proxy, sum(sizes.values()) * 2 // 3)
            child.kill()
            child.communicate()
            [kept] = out.parent.glob(f".out.aweigh-*/packs/{large}.part")
            there_was = kept.stat().st_size
            assert there_was > sizes[large] // 3
            body = store.objects()[f"packs/{large}"]
            match part:
                case "complete":
                    kept.write_bytes(body)
                    there_was = len(body)
                case "longer":
                    kept.write_bytes(body + b"more of it")
                case "garbled":
                    kept.write_bytes(bytes(there_was))
                case _:
                    pass
            proxy.slow = 0
            proxy.passed.clear()
            place.run("fetch", "-q", uri, str(out), whole=True)
            passed = proxy.packs(proxy.passed)[large]
        if part in {"as it was", "complete"}:
            assert passed == sizes[large] - there_was + 1
        else:
            assert passed >= sizes[large]
        assert same(place, out)
        assert {path.name for path in out.parent.iterdir()} <= {"out", ".aweigh-locks"}
    finally:
        store.empty()
