"""The fake target keeps what the protocols of targets promise."""

import pytest

from aweigh.errors import ImageGoneError, TargetError
from aweigh.flow.target import Deployment, LogLine, ServiceTarget, Target, Task
from aweigh.testing import FakeTarget


def task(name: str = "x") -> Task:
    """Return some task."""
    return Task(name=name, image="sha256:1", reference=None, command=("true",))


async def test_it_is_what_it_stands_for() -> None:
    """It runs, and it keeps services."""
    target = FakeTarget(exit_code=3, lines=("a",))
    assert isinstance(target, Target)
    assert isinstance(target, ServiceTarget)
    lines: list[LogLine] = []
    assert await target.run(task(), lines.append) == 3
    assert [line.text for line in lines] == ["a"]
    assert target.tasks == [task()]


async def test_services_come_and_go() -> None:
    """By name; what is not there is an error."""
    target = FakeTarget(lines=("a",))
    for name in ("b", "a", "c"):
        await target.deploy(Deployment(name=name, task=task(name), ports={80: 8000}))
    found = await target.running()
    assert [one.name for one in found] == ["a", "b", "c"]
    assert (found[0].replicas, found[0].url) == ((1, 1), "http://127.0.0.1:80")
    service = target.services["b"]
    assert (service.url, service.replicas) == ("http://127.0.0.1:80", 1)
    assert [line.source async for line in service.logs(follow=True)] == ["b"]
    await service.remove()
    assert await target.remove_all() == ["a", "c"]
    with pytest.raises(TargetError, match="has no b"):
        await target.remove("b")
    with pytest.raises(TargetError):
        await anext(target.logs("b"))


async def test_images_are_gone_as_often_as_it_is_told() -> None:
    """For tests of healing."""
    target = FakeTarget(gone=1)
    with pytest.raises(ImageGoneError):
        await target.run(task(), print)
    assert await target.run(task(), print) == 0
