"""Fixtures of the resolver's tests."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aweigh.image.lock import Lock
from aweigh.image.spec import ImageSpec
from tests.backends.resolver.place import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Return a place of one's own, with its own directory for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = Place(tmp_path)
    thread = threading.Thread(target=place.index.server.serve_forever, args=(0.01,))
    thread.start()
    yield place
    place.index.server.shutdown()
    thread.join()
    place.index.server.server_close()


@pytest.fixture
def spec() -> ImageSpec:
    """Return a spec without steps."""
    return ImageSpec("app", base="python:3.12-slim", python="3.12")


@pytest.fixture
def versions() -> Callable[[Lock], dict[str, str]]:
    """Return what reduces a lock to its names and versions."""
    return lambda lock: {one.name: one.version for one in lock.wheels}
