"""Fixtures for targets: each test has a namespace of its own, empty after it."""

import uuid
from collections.abc import AsyncIterator

import pytest

from aweigh.backends.engine import DockerTarget, Engine
from tests.backends.engine.doubles import Credentials, Heard
from tests.backends.engine.target.docker.support import Ground
from tests.services import Services


@pytest.fixture
async def base_image(engine: Engine, services: Services) -> str:
    """Return the base image by digest; the engine has it."""
    found = await engine.fetch(f"images/{services.base}/json")
    if found is None:
        repository, _, tag = services.base.rpartition(":")
        await engine.stream_messages(
            "images/create",
            lambda _message: None,
            idle=60,
            params={"fromImage": repository, "tag": tag},
        )
        found = await engine.fetch(f"images/{services.base}/json")
    assert found is not None
    return str(found["Id"])


@pytest.fixture
async def ground(
    engine: Engine, base_image: str, heard: Heard
) -> AsyncIterator[Ground]:
    """Return a target of this test alone; after the test nothing of it may remain."""
    namespace = f"aweigh-test-{uuid.uuid4().hex[:8]}"
    target = DockerTarget(
        engine,
        credentials=Credentials(),
        listener=heard,
        namespace=namespace,
        well_within=15.0,
    )
    made = Ground(engine, target, namespace, base_image, heard)
    try:
        yield made
    finally:
        await target.remove_all()
    assert await made.containers() == []
    assert await made.networks() == []
