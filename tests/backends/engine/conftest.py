"""Fixtures for the engine: a client, a builder and clean-up of what tests make."""

import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aweigh.backends.engine import Engine, EngineBuilder, open_engine
from aweigh.image.build import BuildRequest
from aweigh.image.credential import Credential
from aweigh.oci import Platform, Reference
from tests.backends.engine.doubles import Credentials, Files, Heads, Heard, Text
from tests.services import Services

LABEL = "aweigh.test"


@pytest.fixture
async def engine(services: Services) -> AsyncIterator[Engine]:
    """Return a client of the real engine."""
    async with open_engine(services.engine) as opened:
        yield opened


@pytest.fixture
async def mark(engine: Engine) -> AsyncIterator[str]:
    """Return a word of this test alone; its labelled images are removed after it."""
    word = uuid.uuid4().hex[:12]
    yield word
    filters = f'{{"label": ["{LABEL}={word}"]}}'
    found = await engine.send("GET", "images/json", params={"filters": filters})
    for image in found:
        await engine.send("DELETE", f"images/{image['Id']}", params={"force": "1"})


@pytest.fixture
def heard() -> Heard:
    """Return a listener that keeps what it hears."""
    return Heard()


@pytest.fixture
def secure_credential(services: Services) -> Credential:
    """Return the credential that the secure registry accepts."""
    return Credential(
        username=services.secure_username, password=services.secure_password
    )


@pytest.fixture
def make_builder(engine: Engine, heard: Heard) -> Callable[..., EngineBuilder]:
    """Return a function that makes a builder of Dockerfile lines."""

    def make(lines: str, **more: Any) -> EngineBuilder:
        values: dict[str, Any] = {
            "credentials": Credentials(),
            "registry": Heads(),
            "render": Text(lines),
            "listener": heard,
        }
        return EngineBuilder(engine, **(values | more))

    return make


@pytest.fixture
def make_request(services: Services, mark: str) -> Callable[..., BuildRequest]:
    """Return a function that makes a request for an image of this test alone."""

    def make(reference: str = "", **more: Any) -> BuildRequest:
        values = {
            "spec": None,
            "snapshot": Files(),
            "reference": Reference.parse(reference or f"t/{mark}:1"),
            "platform": Platform.host(),
            "base": Reference.parse(services.base),
            "labels": {LABEL: mark},
            "push": False,
        }
        return BuildRequest(**(values | more))

    return make
