"""Running and deploying: what a target is told, how it ends, what is healed."""

import asyncio
import dataclasses
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import aweigh
from aweigh import ImageSpec, Session, Settings, open_session
from aweigh.backends.registry import RegistryClient
from aweigh.errors import (
    EngineUnavailableError,
    ImageGoneError,
    SpecError,
    TargetError,
)
from aweigh.events import (
    BuildStarted,
    CodeDelivered,
    ServiceDeployed,
    TaskFinished,
    TaskStarted,
    Warned,
)
from aweigh.flow.deploy import Wanted, dev_target, service_target
from aweigh.flow.target import LogLine, Mount, Resources, Target, Task
from aweigh.flow.work import Work, service_name, task_name
from aweigh.testing import FakeTarget, RecordingListener
from tests.flow.sources import delete

COMMAND = ["python", "main.py"]
OnLog = Callable[[LogLine], None]


@pytest.fixture
def heard() -> RecordingListener:
    """Return a listener."""
    return RecordingListener()


@pytest.fixture
async def session(live: Settings, heard: RecordingListener) -> AsyncIterator[Session]:
    """Return an open session for the real services."""
    async with open_session(live, listener=heard) as opened:
        yield opened


async def test_a_target_is_told_everything(
    session: Session, spec: ImageSpec, code: Path, heard: RecordingListener
) -> None:
    """Image with the code by digest, command, surroundings; the result has its code."""
    target = FakeTarget(exit_code=7, lines=("one", "two"))
    lines: list[LogLine] = []
    result = await session.run(
        spec,
        code,
        COMMAND,
        target=target,
        env={"A": "1"},
        secrets={"token": "canary"},
        resources=Resources(cpus=0.5),
        mounts=["/tmp:/data:ro", Mount(source="v", target="/v")],
        timeout=60,
        on_log=lines.append,
    )
    (task,) = target.tasks
    assert (result.exit_code, [line.text for line in lines]) == (7, ["one", "two"])
    assert task.command == ("python", "main.py")
    assert task.env == {"PYTHONUNBUFFERED": "1", "A": "1"}
    assert task.secrets == {"token": "canary"}
    assert task.resources == Resources(cpus=0.5)
    assert task.mounts == (
        Mount(source="/tmp", target="/data", read_only=True),
        Mount(source="v", target="/v"),
    )
    assert task.reference is not None
    assert task.image.startswith(f"{task.reference.name}@sha256:")
    assert task.image != str(result.ready.image)
    assert task.name.startswith("demo-")
    assert task.labels["aweigh.bundle"] == result.ready.bundle.uri
    (started,), (finished,) = heard.of(TaskStarted), heard.of(TaskFinished)
    assert (started.name, started.image) == (task.name, task.image)
    assert (finished.exit_code, finished.target) == (7, "fake")
    assert result.seconds >= finished.seconds >= 0
    assert "canary" not in repr((task, heard.events))


async def test_a_second_run_does_nothing_but_run(
    session: Session, spec: ImageSpec, code: Path, heard: RecordingListener
) -> None:
    """The image with the code is recalled; only the task's name is new."""
    target = FakeTarget()
    await session.run(spec, code, COMMAND, target=target)
    await session.run(spec, str(code), COMMAND, target=target)
    first, second = target.tasks
    assert first.name != second.name
    assert dataclasses.replace(second, name=first.name) == first
    assert [event.origin for event in heard.of(CodeDelivered)] == ["built", "recalled"]


async def test_a_program_that_takes_too_long_is_stopped(
    session: Session, spec: ImageSpec, code: Path, heard: RecordingListener
) -> None:
    """The target stops it, and the error says how long it was given."""
    target = FakeTarget(gate=asyncio.Event())
    await session.run(spec, code, COMMAND, target=target)
    target.gate.clear()
    with pytest.raises(TargetError, match=r"within 0\.05 s") as caught:
        await session.run(spec, code, COMMAND, target=target, timeout=0.05)
    assert caught.value.target == "fake"
    assert target.stopped == [target.tasks[-1].name]
    assert len(heard.of(TaskFinished)) == 1


async def test_the_targets_own_timeouts_are_its_own(
    session: Session, spec: ImageSpec, code: Path
) -> None:
    """A TimeoutError that is not ours is not explained as ours."""

    class Late(FakeTarget):
        async def run(self, _task: Task, _on_log: OnLog, /) -> int:
            raise TimeoutError("somebody else's")

    with pytest.raises(TimeoutError, match="somebody else's"):
        await session.run(spec, code, COMMAND, target=Late(), timeout=60)


async def test_cancelling_stops_the_program(
    session: Session, spec: ImageSpec, code: Path
) -> None:
    """Whoever waits may stop waiting; the target has stopped it by then."""
    target = FakeTarget()
    target.gate.clear()
    running = asyncio.create_task(session.run(spec, code, COMMAND, target=target))
    await target.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert target.stopped == [target.tasks[0].name]


async def test_an_image_that_is_gone_is_made_again_and_run(
    session: Session,
    spec: ImageSpec,
    code: Path,
    heard: RecordingListener,
    registry: RegistryClient,
) -> None:
    """Both images were deleted behind the cache: one more build, one more start."""
    target = FakeTarget()
    first = await session.run(spec, code, COMMAND, target=target)
    await delete(registry, target.tasks[0].image)
    await delete(registry, first.ready.image)
    target.gone = 1
    second = await session.run(spec, code, COMMAND, target=target)
    assert second.exit_code == 0
    assert second.ready.image.origin == "built"
    assert len(heard.of(BuildStarted)) == 2
    assert [event.origin for event in heard.of(CodeDelivered)] == [
        "built",
        "recalled",
        "built",
    ]
    assert await registry.head_manifest(first.ready.image.reference) is not None
    (warning,) = heard.of(Warned)
    assert "cannot find" in warning.message


async def test_only_the_code_was_gone(
    session: Session, spec: ImageSpec, code: Path, registry: RegistryClient
) -> None:
    """The image below is asked for, found, and not built again."""
    target = FakeTarget()
    await session.run(spec, code, COMMAND, target=target)
    await delete(registry, target.tasks[0].image)
    target.gone = 1
    result = await session.run(spec, code, COMMAND, target=target)
    assert result.ready.image.origin == "found"
    assert target.tasks[-1].image == target.tasks[0].image


async def test_an_image_that_stays_gone_is_an_error(
    session: Session, spec: ImageSpec, code: Path
) -> None:
    """It is ensured once more, and no oftener."""
    target = FakeTarget(gone=9)
    with pytest.raises(ImageGoneError, match="cannot find"):
        await session.run(spec, code, COMMAND, target=target)
    assert target.gone == 7


async def test_a_target_that_pulls_wants_a_registry(
    session: Session, live: Settings, spec: ImageSpec, code: Path
) -> None:
    """Refused before anything starts, in one line that says what to set."""
    local = dataclasses.replace(live, registry=None)
    heard = RecordingListener()
    target = FakeTarget(pulls=True)
    async with open_session(local, listener=heard) as opened:
        with pytest.raises(TargetError, match="in no registry") as caught:
            await opened.run(spec, code, COMMAND, target=target)
    assert "AWEIGH_REGISTRY" in caught.value.hint
    assert (heard.events, target.tasks) == ([], [])
    await session.run(spec, code, COMMAND, target=target)
    assert len(target.tasks) == 1


async def test_nothing_runs_from_a_layout(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """Without registry and engine there is an image, and nobody to run it."""
    local = dataclasses.replace(live, registry=None, builder="assemble")
    heard = RecordingListener()
    async with open_session(local, listener=heard) as session:
        with pytest.raises(TargetError, match="layout") as caught:
            await session.run(spec, code, COMMAND, target=FakeTarget())
    assert heard.events == []
    assert "container engine" in caught.value.hint


async def test_nothing_runs_where_an_engine_should_have_been(
    live: Settings, spec: ImageSpec, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layout that stands in for an engine is told of as one."""
    nowhere = f"unix://{live.cache_dir}/no.sock"
    monkeypatch.setenv("DOCKER_HOST", nowhere)
    monkeypatch.setenv("DOCKER_CONTEXT", "")
    local = dataclasses.replace(live, registry=None, engine=None)
    async with open_session(local) as session:
        with pytest.raises(TargetError, match="layout"):
            await session.run(spec, code, COMMAND, target=FakeTarget())


async def test_a_target_that_does_not_answer_stops_the_preparation(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """The engine's own error, and no task group's."""
    nowhere = dataclasses.replace(live, engine=f"unix://{live.cache_dir}/no.sock")
    async with open_session(nowhere) as session:
        with pytest.raises(EngineUnavailableError):
            await session.run(spec, code, COMMAND)


async def test_targets_have_names(session: Session) -> None:
    """The settings' own, one by name, and none of any other name."""
    own = await session.target()
    assert isinstance(own, Target)
    assert (own.name, own.pulls) == ("docker", False)
    assert await session.target("docker") is own
    swarm = await session.target("swarm")
    assert (swarm.name, swarm.pulls) == ("swarm", True)
    assert (await session.services("swarm")) is swarm
    fake = FakeTarget()
    assert await session.target(fake) is fake
    with pytest.raises(SpecError, match="no target is called 'moon'") as caught:
        await session.target("moon")
    assert "swarm" in caught.value.hint


async def test_a_service_is_deployed_and_updated(
    session: Session, spec: ImageSpec, code: Path, heard: RecordingListener
) -> None:
    """What a target is told of a service; again under its name is an update."""
    target = FakeTarget()
    service = await session.deploy(
        spec,
        code,
        COMMAND,
        name="api",
        replicas=2,
        ports={8080: 8000},
        target=target,
        health_path="/health",
    )
    (code / "main.py").write_text("print('edited')\n")
    again = await session.deploy(spec, code, COMMAND, name="api", target=target)
    first, second = target.deployments
    assert (first.name, first.replicas, first.ports) == ("api", 2, {8080: 8000})
    assert first.health_path == "/health"
    assert first.task.name == "api"
    assert first.task.image == service.image != again.image == second.task.image
    assert service.url == "http://127.0.0.1:8080"
    assert [event.image for event in heard.of(ServiceDeployed)] == [
        service.image,
        again.image,
    ]
    assert [one.name for one in await target.running()] == ["api"]


async def test_a_deployment_is_healed_as_a_run_is(
    session: Session, spec: ImageSpec, code: Path
) -> None:
    """Once, and then it is an error."""
    target = FakeTarget(gone=1)
    await session.deploy(spec, code, COMMAND, name="api", target=target)
    assert len(target.deployments) == 2
    target.gone = 2
    with pytest.raises(ImageGoneError):
        await session.deploy(spec, code, COMMAND, name="api", target=target)


class Runner:
    """A target that only runs."""

    name = "runner"
    pulls = False

    async def run(self, _task: Task, _on_log: OnLog, /) -> int:
        """Do nothing."""
        return 0


async def test_not_every_target_keeps_services(
    session: Session, spec: ImageSpec, code: Path
) -> None:
    """Whoever implements `run` alone can be run on, and is not asked for more."""
    assert (await session.run(spec, code, COMMAND, target=Runner())).exit_code == 0
    with pytest.raises(TargetError, match="keeps no services"):
        await session.deploy(spec, code, COMMAND, name="api", target=Runner())
    with pytest.raises(TargetError, match="holds no containers"):
        dev_target(Runner())
    assert service_target(FakeTarget()).name == "fake"


async def test_the_module_has_the_same_calls(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """Without a session of one's own; a service can be used after its session."""
    target = FakeTarget(lines=("ahoy",))
    result = await aweigh.run(spec, code, COMMAND, target=target, settings=live)
    assert result.exit_code == 0
    service = await aweigh.deploy(
        spec, code, COMMAND, name="api", ports={1: 2}, target=target, settings=live
    )
    assert (service.name, service.replicas) == ("api", 1)
    assert (service.image, service.url) == (
        target.tasks[0].image,
        "http://127.0.0.1:1",
    )
    assert [line.text async for line in service.logs()] == ["ahoy"]
    await service.remove()
    assert target.services == {}


@pytest.mark.parametrize("command", ["python main.py", [], [""], ()])
def test_what_is_no_command_is_refused(command: list[str]) -> None:
    """A text is the mistake that people make."""
    with pytest.raises(SpecError, match="is no command"):
        Work.of(command)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"env": {"A=B": "1"}}, "environment variable"),
        ({"env": {"": "1"}}, "environment variable"),
        ({"secrets": {"../x": "1"}}, "secret"),
        ({"secrets": {"": "1"}}, "secret"),
        ({"mounts": ["here"]}, "no mount"),
    ],
)
def test_impossible_surroundings_are_refused(
    wrong: dict[str, dict[str, str]], match: str
) -> None:
    """Before anything is prepared; a secret's value is in no message."""
    with pytest.raises(SpecError, match=match):
        Work.of(["true"], **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Api"},
        {"name": ""},
        {"name": "a" * 49},
        {"name": "-a"},
        {"name": "a", "replicas": 0},
        {"name": "a", "ports": {0: 80}},
        {"name": "a", "ports": {80: 65536}},
        {"name": "a", "health_path": "health"},
    ],
)
def test_impossible_services_are_refused(wrong: dict[str, str]) -> None:
    """Names, numbers, ports and paths are checked before anything is prepared."""
    with pytest.raises(SpecError):
        Wanted(work=Work.of(["true"]), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "begins"),
    [
        ("ghcr.io/acme/Train_it.v2", "train-it-v2-"),
        ("demo", "demo-"),
        ("___", "task-"),
        ("x" * 90, "x" * 40 + "-"),
    ],
)
def test_tasks_have_names_that_every_target_takes(image: str, begins: str) -> None:
    """After the image, and unlike any other's."""
    name = task_name(image)
    assert name.startswith(begins)
    assert service_name(name[:48].strip("-"))
    assert task_name(image) != name


def test_who_only_prepares_imports_no_flows() -> None:
    """What starts something is imported when something is started."""
    program = (
        "import sys, aweigh; aweigh.prepare, aweigh.Session;"
        "print([name for name in sys.modules if name in"
        " ('aweigh.flows', 'aweigh.flow.run', 'aweigh.flow.target', 'aweigh.targets')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
