"""Services on a swarm: both nodes, updates, rollback, secrets, logs, removal."""

import asyncio
import dataclasses
from contextlib import aclosing

import pytest

from aweigh.backends.engine import SwarmTarget
from aweigh.errors import DeployError, ImageGoneError, TargetError
from aweigh.image.credential import Credential
from tests.backends.engine.doubles import Credentials
from tests.backends.engine.target.support import get, until
from tests.backends.engine.target.swarm.support import (
    SERVE,
    STAY,
    Known,
    Place,
    SwarmGround,
)
from tests.services import Services


async def test_a_service_answers_on_both_nodes(swarm: SwarmGround) -> None:
    """Healthy replicas are spread, listed and read; the same again changes nothing."""
    wanted = swarm.service(
        SERVE, env={"ANSWER": "one"}, ports={18080: 8000}, health_path="/health"
    )
    service = await swarm.target.deploy(wanted)
    assert (service.name, service.replicas) == ("api", 2)
    assert service.image == str(swarm.image)
    assert service.url is not None
    assert await get(service.url) == "one"
    ran = await swarm.containers(running=True)
    assert [len(node) for node in ran] == [1, 1]
    (listed,) = await swarm.target.running()
    assert (listed.kind, listed.state, listed.replicas) == ("deploy", "running", (2, 2))
    assert listed.url is not None

    lines = [line async for line in service.logs()]
    assert [line.text for line in lines] == ["serving one"] * 2
    assert {line.source[2:] for line in lines} == {"aweigh-node-1", "aweigh-node-2"}
    await swarm.target.deploy(wanted)
    assert await swarm.containers(running=True) == ran


async def test_scale_follow_and_remove(swarm: SwarmGround) -> None:
    """Logs come from all replicas as they are written, until the service is removed."""
    service = await swarm.target.deploy(swarm.service(STAY, replicas=1))
    lines: list[str] = []

    async def follow() -> None:
        async with aclosing(service.logs(follow=True)) as read:
            async for line in read:
                lines.append(line.text)  # noqa: PERF401 - seen while it goes on

    following = asyncio.create_task(follow())
    ran = await swarm.containers(running=True)
    await swarm.target.scale("api", 3)
    now = await swarm.containers(running=True)
    assert {*ran[0], *ran[1]} < {*now[0], *now[1]}
    await until(lambda: _has(lines, 3))

    other = SwarmTarget(
        swarm.manager,
        credentials=Credentials(),
        listener=swarm.heard,
        namespace="aweigh-other",
    )
    assert await other.running() == ()
    assert await other.remove_all() == []
    with pytest.raises(TargetError, match="nothing of ours"):
        await anext(other.logs("api"))
    with pytest.raises(TargetError, match="nothing of ours"):
        await other.scale("api", 1)

    await service.remove()
    async with asyncio.timeout(10):
        await following
    assert lines == ["up"] * 3
    with pytest.raises(TargetError, match="nothing of ours named 'api'"):
        await service.remove()
    await until(swarm.is_clean)


async def _has(lines: list[str], count: int) -> bool:
    return len(lines) >= count


async def test_update_by_digest_and_rollback(
    swarm: SwarmGround, services: Services
) -> None:
    """A new image replaces the old one; what fails or is gone brings the old back."""
    place = Place.open(services)
    newer, gone = await place.variant("newer"), await place.variant("gone")
    await place.delete(gone)
    await swarm.target.deploy(swarm.service(STAY, replicas=1, secrets={"key": "one"}))
    updated = swarm.service(
        STAY, replicas=1, image=newer, secrets={"key": "one", "more": "two"}
    )
    service = await swarm.target.deploy(updated)
    assert service.image == str(newer)

    failing = swarm.service("print('no config'); raise SystemExit(5)", replicas=1)
    with pytest.raises(DeployError, match=r"non-zero exit \(5\)") as caught:
        await swarm.target.deploy(failing)
    assert caught.value.log == ("no config",)
    assert "the version before runs again" in str(caught.value)
    with pytest.raises(ImageGoneError, match="No such image"):
        await swarm.target.deploy(swarm.service(STAY, replicas=1, image=gone))
    (listed,) = await swarm.target.running()
    assert (listed.image, listed.replicas) == (str(newer), (1, 1))

    await until(lambda: _one_is_left(swarm))
    ran = await swarm.containers(running=True)
    await swarm.target.deploy(updated)
    assert await swarm.containers(running=True) == ran
    assert await swarm.secrets() == ["key", "more"]


async def _one_is_left(swarm: SwarmGround) -> bool:
    return sum(await swarm.spread()) == 1


async def test_a_first_version_that_fails_leaves_nothing(swarm: SwarmGround) -> None:
    """Neither service nor secret nor network; the error has its last lines."""
    wanted = swarm.service("raise SystemExit('no')", secrets={"key": "x"})
    with pytest.raises(DeployError, match="it is gone") as caught:
        await swarm.target.deploy(wanted)
    assert caught.value.log == ("no",)
    await until(swarm.is_clean)


async def test_too_long_is_too_long(swarm: SwarmGround) -> None:
    """One that never answers its health check is given up, and the old one is back."""
    target = SwarmTarget(
        swarm.manager,
        credentials=Credentials(),
        listener=swarm.heard,
        namespace=swarm.namespace,
        monitor=0.5,
        patience=4.0,
    )
    await target.deploy(swarm.service(STAY, replicas=1))
    wanted = swarm.service(
        STAY, replicas=1, env={"NEW": "1"}, ports={18081: 8000}, health_path="/"
    )
    with pytest.raises(DeployError, match="was not well after 4 s"):
        await target.deploy(wanted)
    (listed,) = await target.running()
    assert (listed.replicas, listed.url) == ((1, 1), None)


async def test_credentials_reach_the_second_node(
    swarm: SwarmGround, services: Services
) -> None:
    """Both nodes pull a private image with what we know; without it none can."""
    place = Place.secure(services)
    image = await place.variant("private")
    wanted = swarm.service(STAY, image=image)
    with pytest.raises(ImageGoneError, match="No such image"):
        await swarm.run(wanted.task)
    secret = Credential(
        username=services.secure_username, password=services.secure_password
    )
    target = SwarmTarget(
        swarm.manager,
        credentials=Known(services.secure_registry, secret),
        listener=swarm.heard,
        namespace=swarm.namespace,
        monitor=0.5,
    )
    await target.deploy(wanted)
    assert await swarm.spread() == [1, 1]


async def test_two_that_deploy_the_same_name(swarm: SwarmGround) -> None:
    """One of them is the service; who was overtaken is told so."""
    words = ("one", "two", "three")
    wanted = [swarm.service(STAY, replicas=1, env={"WORD": word}) for word in words]
    done = await asyncio.gather(
        *(swarm.target.deploy(one) for one in wanted), return_exceptions=True
    )
    for one in done:
        if isinstance(one, BaseException):
            assert isinstance(one, DeployError)
            assert "another deployment" in str(one)
    assert any(not isinstance(one, BaseException) for one in done)
    (listed,) = await swarm.target.running()
    assert listed.replicas == (1, 1)


async def test_an_image_in_no_registry_is_refused(swarm: SwarmGround) -> None:
    """The nodes could not get it."""
    wanted = swarm.service(STAY)
    task = dataclasses.replace(wanted.task, reference=None)
    with pytest.raises(TargetError, match="in no registry"):
        await swarm.target.deploy(dataclasses.replace(wanted, task=task))
