"""The files that pin a layer: valid TOML that says exactly what goes in."""

import tomllib
from dataclasses import replace
from typing import Any

from aweigh.archive.member import Member
from aweigh.image.pins import LOCK_PATH, Pin, pin_members, pins
from aweigh.image.plan import PythonLayer
from tests.image.locks import make_lock, make_locked

WHEEL = make_locked("idna")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def layer(*wheels: Any) -> PythonLayer:
    """Return a layer of these."""
    return PythonLayer(kind="light", wheels=wheels, name="light-0")


def packages(pin: Pin) -> list[dict[str, Any]]:
    """Read what a pin says."""
    document = tomllib.loads(pin.text)
    assert document["lock-version"] == "1.0"
    found: list[dict[str, Any]] = document["packages"]
    return found


def test_wheels_with_their_hashes() -> None:
    """Remote ones have a URL; local ones lie beside the file, wherever they were."""
    own = make_locked("acme", step=2, first_party=True)
    (pin,) = pins(layer(WHEEL, own))
    remote, local = packages(pin)
    assert remote == {
        "name": "idna",
        "version": "1.0",
        "wheels": [
            {
                "name": WHEEL.filename,
                "url": WHEEL.url,
                "hashes": {"sha256": WHEEL.digest.hex},
            }
        ],
    }
    assert local["wheels"][0]["path"] == own.filename
    assert pin.local == {own.filename: f"steps/2/wheels/{own.filename}"}
    assert not pin.builds


def test_the_key_is_of_the_content_alone() -> None:
    """Another step, another layer's name or size: the same file; another URL is not."""
    (pin,) = pins(layer(WHEEL))
    (moved,) = pins(layer(replace(WHEEL, step=5, size=7)))
    assert (moved.key, moved.path, moved.text) == (pin.key, pin.path, pin.text)
    (other,) = pins(layer(replace(WHEEL, url="https://e.example/x.whl")))
    assert other.key != pin.key


def test_sources_come_apart_by_step() -> None:
    """What is built needs its step's options, so wheels and steps are not mixed."""
    source = make_locked("six", suffix=".tar.gz")
    later = make_locked("toolz", step=3, suffix=".zip")
    found = list(pins(layer(source, WHEEL, later)))
    assert [[one.name for one in pin.files] for pin in found] == [
        ["idna"],
        ["six"],
        ["toolz"],
    ]
    assert [pin.builds for pin in found] == [False, True, True]
    assert packages(found[1])[0]["sdist"]["name"] == "six-1.0.tar.gz"


def test_archives_and_commits() -> None:
    """A file that is not named like a distribution, and repositories."""
    archive = replace(
        make_locked("six"), filename="main.zip", url="https://e.example/main.zip"
    )
    commit = replace(
        make_locked("toolz"),
        filename=f"toolz-{COMMIT}",
        url=f"git+https://git@e.example/t@x/t.git@{COMMIT}",
    )
    inner = replace(commit, name="inner", url=f"{commit.url}#subdirectory=a/b")
    (pin,) = pins(layer(archive, commit, inner))
    first, second, third = packages(pin)
    assert first["archive"] == {
        "url": archive.url,
        "hashes": {"sha256": archive.digest.hex},
    }
    repository = {
        "type": "git",
        "url": "https://git@e.example/t@x/t.git",
        "commit-id": COMMIT,
    }
    assert second["vcs"] == repository
    assert third["vcs"] == {**repository, "subdirectory": "a/b"}
    assert pin.local == {}


def test_members() -> None:
    """The context gets a file for each command, and the whole lock, if planned."""
    lock = make_lock([WHEEL])
    planned = [layer(WHEEL), layer(make_locked("six"))]
    found = list(pin_members(planned, lock))
    assert len({member.path for member in found}) == 3
    text = lock.text.encode()
    assert found[-1] == Member(path=LOCK_PATH, kind="file", size=len(text), source=text)
    assert list(pin_members(planned, None)) == found[:2]
    assert list(pin_members((), lock)) == []
