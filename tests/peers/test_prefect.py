"""Prefect 3: a real server and worker run a flow whose code is a bundle."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.peers.environment import ROOT, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.timeout(400)]

EXAMPLE = ROOT / "examples" / "prefect" / "deploy.py"


@pytest.fixture(scope="module")
def prefect() -> Peer:
    """Return Prefect, with aweigh beside it."""
    return Peer("prefect")


@contextmanager
def running(command: list[object], environ: dict[str, str]) -> Iterator[None]:
    """Keep a program running."""
    with subprocess.Popen(
        [str(part) for part in command],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.fixture
def environ(
    prefect: Peer, live_environ: dict[str, str], tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Return variables for Prefect's programs; its server and a worker are running."""
    port = free_port()
    quiet = live_environ | {
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    told = quiet | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    server: list[object] = [
        prefect.program("prefect"),
        "server",
        "start",
        "--port",
        str(port),
    ]
    worker: list[object] = [
        prefect.program("prefect"),
        "worker",
        "start",
        "--pool",
        "ours",
    ]
    with ExitStack() as stack:
        stack.enter_context(running([*server, "--host", "127.0.0.1"], quiet))
        wait_for(f"http://127.0.0.1:{port}/api/health")
        create = ("work-pool", "create", "ours", "--type", "process")
        prefect.run(told, "prefect", *create)
        stack.enter_context(running(worker, told))
        yield told


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own URL
                return
        except OSError:
            time.sleep(1)
    pytest.fail(f"{url} does not answer")


def test_a_worker_runs_the_bundle(
    prefect: Peer, environ: dict[str, str], tmp_path: Path
) -> None:
    """A worker that has never seen the code fetches it and completes the flow."""
    uri = prefect.run(environ, "python", EXAMPLE, "ours").splitlines()[-1]
    assert uri.startswith("file://")
    answer = tmp_path / "answer.txt"
    told = ["--param=text=anchors aweigh, aaa", f"--param=answer={answer}"]
    prefect.run(
        environ, "prefect", "deployment", "run", "count/example", *told, "--watch"
    )
    assert answer.read_text() == "a"
