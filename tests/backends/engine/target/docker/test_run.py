"""Tasks run to completion: exit codes, output, what they are given, what is left."""

import asyncio
import datetime as dt
import json
import random
from pathlib import Path

import pytest

from aweigh.errors import TargetError
from aweigh.events import Warned
from aweigh.flow.target import Mount, Target
from tests.backends.engine.doubles import eventually, running, unique_seconds
from tests.backends.engine.target.docker.support import Ground, limits
from tests.backends.engine.target.support import until


async def test_exit_code_and_both_streams_come_back(ground: Ground) -> None:
    """Lines say their stream and time, in order; then the container is gone."""
    assert isinstance(ground.target, Target)
    assert (ground.target.name, ground.target.pulls) == ("docker", False)
    before = dt.datetime.now(dt.UTC)
    script = "echo one; echo two >&2; printf 'ünï\\n\\nlast'; exit 3"
    assert await ground.run("sh", "-c", script) == 3
    assert ground.texts("stdout") == ["one", "ünï", "", "last"]
    assert ground.texts("stderr") == ["two"]
    assert all(line.at and line.at >= before for line in ground.lines)
    assert {line.source for line in ground.lines} == {""}
    assert await ground.containers() == []


async def test_a_megabyte_from_a_program_that_ends_at_once_is_whole(
    ground: Ground,
) -> None:
    """Not a line is lost or out of order, and a line of 100 kB stays one."""
    script = (
        "import sys\nfor i in range(20000): sys.stdout.write(f'{i:050}\\n')\n"
        "print('x' * 100_000)"
    )
    assert await ground.run("python3", "-c", script) == 0
    wanted = [f"{number:050}" for number in range(20_000)]
    assert ground.texts() == [*wanted, "x" * 100_000]


async def test_the_output_of_the_shortest_programs_is_whole(ground: Ground) -> None:
    """Many that end at once, side by side: none loses its line."""

    async def run(word: str) -> None:
        lines: list[str] = []
        task = ground.task("echo", word)
        code = await ground.target.run(task, lambda line: lines.append(line.text))
        assert (code, lines) == (0, [word])

    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(run(str(number)))


async def test_there_is_no_input(ground: Ground) -> None:
    """A program that reads its input finds its end, and does not wait."""
    script = "import sys; print(repr(sys.stdin.read()))"
    assert await ground.run("python3", "-c", script) == 0
    assert ground.texts() == ["''"]


async def test_environment_and_labels_arrive(ground: Ground) -> None:
    """Values are taken as they are; our labels come besides the task's."""
    env = {"WORD": "a=b ü $HOME", "EMPTY": ""}
    run = asyncio.create_task(
        ground.run(
            "sh", "-c", 'echo "$WORD$EMPTY"; sleep 2', env=env, labels={"mine": "1"}
        )
    )
    await until(ground.runs)
    [found] = await ground.runs()
    assert found["Labels"]["mine"] == "1"
    assert found["Labels"]["aweigh.kind"] == "run"
    assert ":" in found["Labels"]["aweigh.holder"]
    [listed] = await ground.target.running()
    assert (listed.kind, listed.target, listed.url) == ("run", "docker", None)
    assert await run == 0
    assert ground.texts() == ["a=b ü $HOME"]


@pytest.mark.parametrize("user", ["", "1234", "nobody", "1234:5678"])
async def test_secrets_are_files_that_only_the_program_reads(
    ground: Ground, user: str
) -> None:
    """Mode 0400, owned by whom the image runs as, and in no answer of the engine."""
    image = await _image_of(ground, user)
    secret = "sesame-\nüöffne-dich\n"
    script = (
        "import os, pathlib; p = pathlib.Path('/run/secrets/TOKEN'); s = p.stat(); "
        "print(oct(s.st_mode & 0o777), s.st_uid == os.getuid(), p.read_text(), end='')"
    )
    inspected: list[str] = []

    def on_log(line: object) -> None:
        ground.lines.append(line)  # type: ignore[arg-type]

    task = ground.python(
        f"{script}\nimport time; time.sleep(1)",
        image=image,
        secrets={"TOKEN": secret, "other.key": "0"},
        env={"PYTHONUNBUFFERED": "1"},
    )
    run = asyncio.create_task(ground.target.run(task, on_log))
    try:
        await until(ground.runs)
        while not run.done():
            for one in await ground.containers():
                found = await ground.engine.fetch(f"containers/{one['Id']}/json")
                inspected.append(json.dumps([one, found], ensure_ascii=False))
            await asyncio.sleep(0.1)
        assert await run == 0
    finally:
        await asyncio.wait({run})
        if image != ground.image:
            await ground.engine.send("DELETE", f"images/{image}")
    first, *rest = ground.texts()
    assert [first, *rest] == ["0o400 True sesame-", "üöffne-dich"]
    assert inspected
    assert "sesame" not in "".join(inspected)
    assert "sesame" not in repr(task)


async def _image_of(ground: Ground, user: str) -> str:
    """Return an image whose programs run as a user."""
    if not user:
        return ground.image
    made = await ground.engine.send(
        "POST", "containers/create", document={"Image": ground.image, "Cmd": ["true"]}
    )
    try:
        committed = await ground.engine.send(
            "POST",
            "commit",
            params={"container": made["Id"]},
            document={"User": user, "Image": ground.image},
        )
    finally:
        await ground.engine.send("DELETE", f"containers/{made['Id']}")
    return str(committed["Id"])


async def test_a_secret_that_names_no_file_is_refused(ground: Ground) -> None:
    """It cannot leave the directory; the message does not hold its value."""
    with pytest.raises(TargetError, match="no name for a secret") as caught:
        await ground.run("true", secrets={"../etc/passwd": "sesame"})
    assert "sesame" not in str(caught.value)
    assert await ground.containers() == []


async def test_limits_are_seen_inside(ground: Ground) -> None:
    """The kernel is told memory and processors as they were asked for."""
    script = """
import pathlib
root = pathlib.Path("/sys/fs/cgroup")
if (root / "memory").is_dir():
    memory = (root / "memory/memory.limit_in_bytes").read_text()
    quota = (root / "cpu/cpu.cfs_quota_us").read_text()
    period = (root / "cpu/cpu.cfs_period_us").read_text()
else:
    memory = (root / "memory.max").read_text()
    quota, period = (root / "cpu.max").read_text().split()
print(int(memory), int(quota) / int(period))
"""
    resources = limits(cpus=0.5, memory=256 << 20)
    assert await ground.run("python3", "-c", script, resources=resources) == 0
    assert ground.texts() == [f"{256 << 20} 0.5"]


async def test_out_of_memory_is_told(ground: Ground) -> None:
    """The exit code is 137, and an event says why."""
    code = await ground.run(
        "python3", "-c", "bytearray(400 << 20)", resources=limits(memory=48 << 20)
    )
    assert code == 137
    [warned] = ground.heard.of(Warned)
    assert "out of memory" in warned.message


async def test_a_signal_that_is_no_lack_of_memory_is_not_told_as_one(
    ground: Ground,
) -> None:
    """Who kills itself gets 137 and no event, also under a limit."""
    code = await ground.run(
        "sh", "-c", "kill -KILL $$", resources=limits(memory=64 << 20)
    )
    assert code == 137
    assert ground.heard.of(Warned) == []


async def test_directories_and_volumes_are_mounted(
    ground: Ground, tmp_path: Path
) -> None:
    """Written where that is allowed, refused where it is not."""
    (tmp_path / "in").write_text("mounted")
    volume = f"{ground.namespace}-volume"
    mounts = (
        Mount(source=str(tmp_path), target="/in", read_only=True),
        Mount(source=str(tmp_path), target="/out"),
        Mount(source=volume, target="/kept"),
    )
    script = (
        "cat /in/in; echo; cat /in/in > /out/out; echo 1 > /in/no; echo 2 > /kept/a"
    )
    try:
        assert await ground.run("sh", "-c", script, mounts=mounts) == 0
        assert await ground.run("cat", "/kept/a", mounts=mounts) == 0
    finally:
        await ground.engine.send("DELETE", f"volumes/{volume}")
    assert ground.texts("stdout") == ["mounted", "2"]
    assert "Read-only" in ground.texts("stderr")[0]
    assert (tmp_path / "out").read_text() == "mounted"


async def test_a_missing_mount_is_named_and_not_made(
    ground: Ground, tmp_path: Path
) -> None:
    """The engine would create it, and mount an empty directory for a typing error."""
    missing = tmp_path / "typo"
    mount = Mount(source=str(missing), target="/data")
    with pytest.raises(TargetError, match="typo") as caught:
        await ground.run("true", mounts=(mount,))
    assert str(missing) in caught.value.hint
    assert not missing.exists()
    assert await ground.containers() == []


async def test_gpus_nobody_has_are_an_error(ground: Ground) -> None:
    """The hint says what the engine lacks."""
    with pytest.raises(TargetError) as caught:
        await ground.run("true", resources=limits(gpus=1))
    assert "NVIDIA" in caught.value.hint
    assert await ground.containers() == []


async def test_a_program_the_image_lacks_ends_as_in_a_shell(ground: Ground) -> None:
    """127, and its name in the output; 126 for a file that is no program."""
    assert await ground.run("nosuch-program") == 127
    assert "nosuch-program" in ground.texts("stderr")[0]
    assert await ground.run("/etc/passwd") == 126


async def test_two_of_one_name_are_an_error(ground: Ground) -> None:
    """The second is refused, the first goes on."""
    first = asyncio.create_task(ground.run("sleep", "1", name="twice"))
    await until(ground.runs)
    with pytest.raises(TargetError, match="twice") as caught:
        await ground.run("true", name="twice")
    assert "aweigh stop" in caught.value.hint
    assert await first == 0


async def test_tasks_find_each_other_by_name(ground: Ground) -> None:
    """All of a namespace are on one network, where names are known."""
    name = f"{ground.namespace}-server"
    script = "import socket; s = socket.create_server(('', 9)); c, _ = s.accept()"
    server = asyncio.create_task(
        ground.target.run(ground.python(script, name="server"), ground.lines.append)
    )
    client = (
        "import socket, time\n"
        "for _ in range(50):\n"
        "    try: socket.create_connection((" + repr(name) + ", 9)); break\n"
        "    except OSError: time.sleep(0.1)\n"
        "else: raise SystemExit(1)"
    )
    assert await ground.run("python3", "-c", client) == 0
    assert await server == 0


async def test_cancelling_lets_the_program_end_in_its_way(ground: Ground) -> None:
    """It gets its stop signal, and its last lines are still handed on."""
    script = (
        "import signal, sys, time\n"
        "def end(*_): print('saved', flush=True); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(60)"
    )
    run = asyncio.create_task(ground.run("python3", "-c", script))
    await eventually(lambda: bool(ground.lines) or run.done())
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert ground.texts() == ["up", "saved"]
    assert await ground.containers() == []


async def test_being_cancelled_twice_kills_at_once(ground: Ground) -> None:
    """Who does not want to wait for a program that ignores signals need not."""
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True)"
    command = ("python3", "-c", f"{script}\ntime.sleep(60)")
    run = asyncio.create_task(ground.run(*command))
    await eventually(lambda: bool(ground.lines) or run.done())
    run.cancel()
    await asyncio.sleep(0.3)
    loop = asyncio.get_running_loop()
    started = loop.time()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert loop.time() - started < 8
    assert await ground.containers() == []


async def test_cancelled_at_any_moment_nothing_is_left(ground: Ground) -> None:
    """Twenty runs, each cancelled at another point of its life."""
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    seconds = unique_seconds()
    for number in range(20):
        run = asyncio.create_task(
            ground.run("sleep", seconds, secrets={"A": "1"} if number % 2 else {})
        )
        await asyncio.sleep(chance.random() * 0.5)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert await ground.containers() == []
    assert not running(seconds)


async def test_a_listener_that_fails_stops_the_task(ground: Ground) -> None:
    """Its error is the one to see, and nothing is left."""

    def on_log(_line: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ground.target.run(ground.task("sh", "-c", "echo; sleep 60"), on_log)
    assert await ground.containers() == []


async def test_what_somebody_else_stops_ends_all_the_same(ground: Ground) -> None:
    """Its exit code is the signal's, or nobody knows it; nothing is left."""
    run = asyncio.create_task(
        ground.run("sh", "-c", "echo; exec sleep 60", name="stopped")
    )
    await eventually(lambda: bool(ground.lines) or run.done())
    await ground.target.remove("stopped")
    try:
        assert await run in {137, 143}
    except TargetError as exc:
        assert "removed" in exc.hint  # noqa: PT017 - both ends are right
    assert await ground.containers() == []
