"""A thousand calls at once over fifty images: few questions, no build twice."""

import uuid

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.oci import Reference
from aweigh.oci.manifest import OCI_INDEX
from tests.conftest import AccessLog
from tests.faults.programs import spec_of
from tests.faults.support import program, programs
from tests.services import Services

SPECS, CALLS = 50, 1000


@pytest.fixture
async def seeded(live: Settings, services: Services) -> str:
    """Put fifty images into the registry: one build, under the tags of fifty specs.

    What an image holds is not the subject here; that it is there is.
    """
    nonce = uuid.uuid4().hex
    async with open_session(live) as session:
        built = await session.ensure_image(ImageSpec("light", base=services.base))
        registry = await session.backends.registry()  # type: ignore[attr-defined]
        got = await registry.get_manifest(Reference.parse(str(built)))
        assert got is not None
        for number in range(SPECS):
            spec = spec_of(services.base, f"{nonce}-{number}")
            plan = await session.explain(spec)
            await registry.put_manifest(plan.image.reference, got[2], OCI_INDEX)
    return nonce


def requests_to(repository: str, access_log: AccessLog) -> list[str]:
    """Return the requests to this test's own repositories."""
    name = repository.partition("/")[2]
    return [request for request in access_log.lines() if f"/{name}/" in request]


def checks(requests: list[str], tags: int) -> int:
    """Count how often an image's own tag was asked for; each tag must be among them."""
    asked = [
        request.split()[1]
        for request in requests
        if request.startswith("HEAD")
        and "/manifests/aw-" in request
        and "-linux-" not in request
    ]
    assert len(set(asked)) == tags
    return len(asked)


def builds(requests: list[str]) -> list[str]:
    """Return what was pushed, tags of platforms included."""
    return [request for request in requests if request.startswith("PUT")]


def test_one_process_asks_once_for_each_image(
    live_environ: dict[str, str],
    services: Services,
    seeded: str,
    access_log: AccessLog,
    repository: str,
) -> None:
    """A thousand calls: fifty checks, no build, few threads; then no check at all."""
    argv = ("crowd", services.base, seeded, str(SPECS), str(CALLS))
    with program(live_environ, *argv) as cold:
        cold.wait_for("ready")
        access_log.mark()
        cold.go()
        assert cold.finish(timeout=60) == 0, cold.errors
    requests = requests_to(repository, access_log)
    assert checks(requests, SPECS) == SPECS
    assert builds(requests) == []
    (said,) = cold.of("crowd")
    assert (said["images"], said["origins"]) == (SPECS, ["found"])
    assert said["threads"] <= 4
    with program(live_environ, *argv) as warm:
        warm.wait_for("ready")
        access_log.mark()
        warm.go()
        assert warm.finish(timeout=60) == 0, warm.errors
    assert requests_to(repository, access_log) == []
    (said,) = warm.of("crowd")
    assert said["origins"] == ["recalled"]
    assert 1 <= said["threads"] <= 4


def test_eight_processes_ask_once_for_each_image(
    live_environ: dict[str, str],
    services: Services,
    seeded: str,
    access_log: AccessLog,
    repository: str,
) -> None:
    """As many calls in eight processes: fifty checks still, and no build."""
    argv = ("crowd", services.base, seeded, str(SPECS), str(CALLS // 8))
    with programs(8, live_environ, *argv) as crowd:
        for each in crowd:
            each.wait_for("ready")
        access_log.mark()
        for each in crowd:
            each.go()
        codes = [each.finish(timeout=90) for each in crowd]
    assert codes == [0] * 8, [each.errors for each in crowd]
    assert [each.errors for each in crowd] == [""] * 8
    requests = requests_to(repository, access_log)
    assert checks(requests, SPECS) == SPECS
    assert builds(requests) == []
    for each in crowd:
        (said,) = each.of("crowd")
        assert said["images"] == SPECS
        assert said["threads"] <= 4


def test_eight_processes_build_each_image_once(
    live_environ: dict[str, str],
    services: Services,
    access_log: AccessLog,
    repository: str,
) -> None:
    """Four missing images, eight processes, 160 calls: four builds."""
    nonce = uuid.uuid4().hex
    with programs(8, live_environ, "crowd", services.base, nonce, "4", "20") as crowd:
        for each in crowd:
            each.wait_for("ready")
        access_log.mark()
        for each in crowd:
            each.go()
        codes = [each.finish(timeout=90) for each in crowd]
    assert codes == [0] * 8, [each.errors for each in crowd]
    requests = requests_to(repository, access_log)
    assert checks(requests, 4) == 4
    indexes = [
        request.split()[1]
        for request in builds(requests)
        if "/manifests/aw-" in request and "-linux-" not in request
    ]
    assert len(indexes) == len(set(indexes)) == 4
    built = [origin for each in crowd for origin in each.of("crowd")[0]["origins"]]
    assert set(built) <= {"built", "recalled"}
