"""Fixtures for the swarm: each test has a namespace of its own, empty after it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from aweigh.backends.engine import Engine, SwarmTarget, open_engine
from tests.backends.engine.doubles import Credentials, Heard
from tests.backends.engine.target.support import until
from tests.backends.engine.target.swarm.support import Place, SwarmGround, is_clean
from tests.services import Services


@pytest.fixture(scope="session")
def namespaces(services: Services) -> Iterator[list[str]]:
    """Collect the tests' namespaces; at the end nothing of any may be in the swarm.

    A swarm takes seconds to stop a replica, and its nodes some more to remove the
    container: who removes all namespaces at once waits once.
    """
    made: list[str] = []
    yield made
    asyncio.run(_remove(services, made))


async def _remove(services: Services, namespaces: list[str]) -> None:
    async with (
        open_engine(services.swarm) as manager,
        open_engine(services.swarm_worker) as worker,
    ):
        async with asyncio.TaskGroup() as group:
            for namespace in namespaces:
                target = _target(manager, Heard(), namespace)
                group.create_task(target.remove_all())
        for namespace in namespaces:
            await until(partial(is_clean, manager, worker, namespace))


def _target(manager: Engine, heard: Heard, namespace: str) -> SwarmTarget:
    return SwarmTarget(
        manager,
        credentials=Credentials(),
        listener=heard,
        namespace=namespace,
        monitor=0.5,
    )


@pytest.fixture
async def swarm(
    services: Services, heard: Heard, namespaces: list[str]
) -> AsyncIterator[SwarmGround]:
    """Return a target on two nodes with a namespace of its own."""
    namespace = f"aweigh-test-{uuid.uuid4().hex[:8]}"
    namespaces.append(namespace)
    async with (
        open_engine(services.swarm) as manager,
        open_engine(services.swarm_worker) as worker,
    ):
        target = _target(manager, heard, namespace)
        image = await Place.open(services).base_digest()
        yield SwarmGround(manager, worker, target, namespace, image, heard)
