"""Kill -9 at any moment: nothing that is seen is half, and the next run cleans up."""

import json
import shutil
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.bundle.judge import digest_of, judge
from tests.bundle.kills import (
    KILL_ROUNDS,
    FileObjects,
    Place,
    S3Objects,
    bytes_of,
    covers,
    moments,
    tell,
    write_code,
)

pytestmark = pytest.mark.timeout(7200)  # for `make soak`


def uploads(place: Place, there: FileObjects | S3Objects) -> tuple[Counter[str], int]:
    """Kill uploads, and count when that was, and what was left unfinished."""
    large = 32
    code = place.root / "code"
    for number in range(3):
        write_code(code, number, large=large)
        place.run("bundle", "-q", "--json", "code", whole=True)
        there.empty()
    usual = place.left()
    outcomes: Counter[str] = Counter()
    unfinished = 0
    for number, moment in enumerate(moments(place, KILL_ROUNDS)):
        write_code(code, 100 + number, large=large)
        digest = digest_of(bytes(code))
        alive = place.kill(moment, there.begun, "bundle", "-q", "--json", "code")
        seen = judge(there.objects())
        begun = there.unfinished()
        assert seen.bundles <= {digest}
        if seen.bundles:
            outcomes["after" if alive else "ended"] += 1
        elif seen.packs or begun:
            outcomes["during"] += 1
        else:
            outcomes["before"] += 1
            assert alive
        again = place.run(
            "bundle", "-q", "--json", "code", whole=not (seen.packs or begun)
        )
        told = json.loads(again)
        assert told["digest"] == f"sha256:{digest}"
        assert judge(there.objects()).bundles == {digest}
        unfinished += there.unfinished()
        assert place.left() == usual
        there.empty()
    return outcomes, unfinished


def test_killed_uploads_to_a_directory(tmp_path: Path) -> None:
    """A directory never shows half an object, and the next run leaves nothing else."""
    there = FileObjects(tmp_path / "store")
    outcomes, unfinished = uploads(Place(root=tmp_path, store=there.url), there)
    tell("uploads to a directory", outcomes, KILL_ROUNDS)
    assert not unfinished
    assert covers(outcomes)


@pytest.mark.real
def test_killed_uploads_to_s3(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """An S3 store never shows half an object; parts without an end may stay unseen."""
    services = request.getfixturevalue("services")
    there = S3Objects(services, f"t/{uuid.uuid4().hex}")
    place = Place(root=tmp_path, store=there.url, variables=there.variables)
    try:
        outcomes, unfinished = uploads(place, there)
    finally:
        there.empty()
    tell(f"uploads to S3 ({unfinished} left unfinished)", outcomes, KILL_ROUNDS)
    assert covers(outcomes)


def test_killed_fetches(tmp_path: Path) -> None:
    """A destination is whole or not there; what was beside it goes the next time."""
    there = FileObjects(tmp_path / "store")
    place = Place(root=tmp_path, store=there.url)
    write_code(tmp_path / "code", 1, large=32)
    wanted = bytes_of(tmp_path / "code")
    uri = json.loads(place.run("bundle", "-q", "--json", "code", whole=False))["bundle"]
    out = tmp_path / "here" / "out"

    def around() -> set[str]:
        return {path.name for path in out.parent.glob("*")} - {".aweigh-locks"}

    def whole() -> bool:
        found = bytes_of(out)
        found.pop(".aweigh-bundle", None)
        return found == wanted

    for _ in range(3):
        place.run("fetch", "-q", uri, str(out), whole=True)
        shutil.rmtree(out)
    usual = place.left()
    outcomes: Counter[str] = Counter()
    for moment in moments(place, KILL_ROUNDS):
        alive = place.kill(moment, around, "fetch", "-q", uri, str(out))
        if out.exists():
            assert whole()
            outcomes["after" if alive else "ended"] += 1
        else:
            outcomes["during" if around() else "before"] += 1
            assert alive
        place.run("fetch", "-q", uri, str(out), whole=not (out.exists() or around()))
        assert whole()
        assert around() == {"out"}
        assert place.left() == usual
        shutil.rmtree(out)
    tell("fetches", outcomes, KILL_ROUNDS)
    assert covers(outcomes)
