"""`aweigh run`, `deploy`, `serve`, `ps`, `logs` and `stop` on a real engine."""

import signal
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.flows import Flows
from tests.flow.processes import free_port
from tests.flow.servers import server
from tests.services import Services

MAIN = """
import os, sys
print("out", *sys.argv[1:], os.environ.get("A"), os.environ.get("B"))
print("héllo", end="")
print("err", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def flows(services: Services, repository: str, tmp_path: Path) -> Iterator[Flows]:
    """Return a project of its own; nothing of it may stay."""
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "main.py").write_text(MAIN)
    (project / "pyproject.toml").write_text(
        f'[tool.aweigh.image]\nname = "flows"\nbase = "{services.base}"\n'
    )
    environ = {
        "AWEIGH_REGISTRY": repository,
        "AWEIGH_ENGINE": services.engine,
        "AWEIGH_CACHE_DIR": str(tmp_path / "cache"),
        "AWEIGH_DATA_DIR": str(tmp_path / "data"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    made = Flows(project, environ, f"aweigh-cli-{uuid.uuid4().hex[:8]}")
    yield made
    left = made.names()
    stopped = made("stop", "--all", "-q")
    assert (left, stopped.code) == ([], 0), stopped.err


def test_run_gives_output_and_exit_code_through(flows: Flows) -> None:
    """Stdout is the program's alone, and so is the exit code, 137 too."""
    argv = ("run", "--dir", "src", "-e", "A=1", "-e", "B")
    done = flows(*argv, "--", "python3", "main.py", "3", "--", "-x", B="ours")
    assert done.out == "out 3 -- -x 1 ours\nhéllo\n"
    assert done.code == 3
    assert "err\n" in done.err
    assert "image   ready: built" in done.err
    quiet = flows(*argv, "-q", "--", "python3", "main.py", "137", B="")
    assert (quiet.code, quiet.out) == (137, "out 137 1 \nhéllo\n")
    assert quiet.err == "err\n"


def test_run_json_has_stdout_for_itself(flows: Flows) -> None:
    """With --json the program writes to stderr, and one object says how it ended."""
    done = flows("run", "--dir", "src", "--json", "--", "python3", "main.py", "4")
    assert done.code == 4
    assert done.json["exit_code"] == 4
    assert done.json["image"]["origin"] == "built"
    assert "out 4" in done.err


def test_run_takes_secrets_mounts_and_limits(flows: Flows, tmp_path: Path) -> None:
    """Each arrives in the container; a value may come from our environment."""
    seen = tmp_path / "seen"
    seen.mkdir()
    (seen / "file").write_text("mounted")
    look = (
        "cat /run/secrets/TOKEN /run/secrets/PLAIN /seen/file; "
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
        " 2>/dev/null; exit 0"
    )
    done = flows(
        *("run", "--dir", "src", "-q", "--secret", "TOKEN", "--secret", "PLAIN=b;"),
        *("--mount", f"{seen}:/seen:ro", "--memory", "64m", "--cpus", "0.5"),
        *("--", "sh", "-c", look),
        TOKEN="a;",
    )
    assert done.code == 0, done.err
    assert done.out.startswith("a;b;mounted")
    assert str(64 << 20) in done.out


def test_run_stops_at_its_timeout(flows: Flows) -> None:
    """Then it has failed, and says what to do."""
    done = flows("run", "--dir", "src", "--timeout", "1.5", "--", "sleep", "60")
    assert done.code == 1
    assert "did not end within 1.5 s" in done.err
    assert "hint:" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_the_container(flows: Flows, number: signal.Signals) -> None:
    """Ctrl-C and who ends us in an orderly way: no traceback, and nothing is left."""
    process = flows.start("run", "--dir", "src", "--", "sleep", "600")
    with process:
        flows.wait_for(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + number, "")
    assert "Traceback" not in err
    assert flows.names() == []


def test_nobody_reading_ends_the_program(flows: Flows) -> None:
    """As at a shell: `aweigh run ... | head` does not run on for nobody."""
    process = flows.start("run", "--dir", "src", "-q", "--", "yes")
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "y\n"
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert flows.names() == []


def test_stop_all_clears_up_after_a_killed_client(flows: Flows) -> None:
    """SIGKILL leaves the container; `ps` shows it and `stop` removes it."""
    with flows.start("run", "--dir", "src", "--", "sleep", "600") as process:
        (name,) = flows.wait_for(1)
        process.kill()
    assert name in flows("ps").out
    stopped = flows("stop", "--all", "--json", "-q")
    assert stopped.json == {"stopped": [name]}
    assert flows.names() == []
    missing = flows("stop", name)
    assert (missing.code, "hint:" in missing.err) == (1, True)


def test_deploy_logs_and_stop(flows: Flows) -> None:
    """A service answers, is updated in place, is listed, logged and stopped."""
    web, port = flows.project / "src" / "web.py", free_port()
    argv = (
        *("deploy", "--dir", "src", "--name", "web", "-p", f"{port}:8000", "-e"),
        *("PORT=8000", "--health-path", "/", "--", "python3", "-u", "web.py"),
    )
    for version in (1, 2):
        web.write_text(server(version))
        done = flows(*argv)
        assert done.code == 0, done.err
        url = done.out.strip()
        assert url.endswith(f":{port}")
        assert ask(url) == str(version)
    (listed,) = flows("ps", "--json", "-q").json["running"]
    assert (listed["name"], listed["kind"], listed["state"]) == (
        "web",
        "deploy",
        "running",
    )
    assert (listed["running"], listed["wanted"]) == (1, 1)
    assert flows("logs", "web", "-q").out == "version 2 starts\n"
    assert flows("stop", "web", "-q").out == "web\n"
    assert flows.names() == []


def test_serve_switches_keeps_and_ends(flows: Flows) -> None:
    """The url is on stdout; edits of the code and of the spec come through."""
    web, port = flows.project / "src" / "web.py", free_port()
    web.write_text(server(1))
    process = flows.start(
        *("serve", "--dir", "src", "--port", str(port)), *("--", "python3", "web.py")
    )
    heard: list[str] = []
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        listening = threading.Thread(target=heard.extend, args=(process.stderr,))
        listening.start()
        url = process.stdout.readline().strip()
        assert url == f"http://127.0.0.1:{port}"
        assert ask(url) == "1"
        web.write_text(server(2))
        wait_until(lambda: ask(url) == "2")
        web.write_text("syntax(")
        wait_until(lambda: any("SyntaxError" in line for line in heard))
        wait_until(lambda: any("version 2 stays" in line for line in heard))
        assert ask(url) == "2"
        project = flows.project / "pyproject.toml"
        project.write_text(project.read_text() + 'env = { GREETING = "hi" }\n')
        hello = 'VERSION = os.environ["GREETING"]'
        web.write_text(server(3).replace('VERSION = "3"', hello))
        wait_until(lambda: ask(url) == "hi")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        listening.join()
    assert not any("Traceback" in line for line in heard)
    assert flows.names() == []


def ask(url: str) -> str:
    """Ask once."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http
        text: str = answer.read().decode()
        return text


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("run",), "COMMAND"),
        (("run", "--"), "COMMAND"),
        (("serve", "--port", "70000", "--", "x"), "no port"),
        (("deploy", "--", "x"), "--name"),
        (("deploy", "--name", "x", "-p", "a:b", "--", "x"), "no port"),
        (("run", "--memory", "much", "--", "x"), "no size"),
        (("run", "--timeout", "-1", "--", "x"), "number of seconds"),
        (("run", "-e", "NOT_SET_ANYWHERE", "--", "x"), "NOT_SET_ANYWHERE"),
        (("stop",), "required"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_usage_errors_end_with_2(run: Run, argv: tuple[str, ...], told: str) -> None:
    """What makes no sense is told before anything is done."""
    done = run(*argv)
    assert done.code == 2
    assert told in done.err
    assert done.out == ""


INTERRUPTED = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from aweigh.cli import main
sys.exit(main(["cache", "dir"]))
"""


@pytest.mark.parametrize(
    "module",
    ["argparse", "asyncio", "aweigh.cli.cache", "aweigh.settings", "platformdirs"],
)
def test_ctrl_c_during_imports_shows_no_traceback(module: str) -> None:
    """Whatever is being imported when it comes."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
