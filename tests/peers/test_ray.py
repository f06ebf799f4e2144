"""Ray: a real cluster runs a job whose working directory is a bundle in S3."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.peers.environment import ROOT, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services import Services

pytestmark = [
    pytest.mark.peers,
    pytest.mark.timeout(400),
    # Ray gives a node 30 seconds to start, and nobody can change that.
    pytest.mark.flaky(reruns=2),
]

EXAMPLE = ROOT / "examples" / "ray" / "submit.py"


@pytest.fixture(scope="module")
def ray() -> Peer:
    """Return Ray, with aweigh beside it."""
    return Peer("ray")


@pytest.fixture
def environ(
    ray: Peer, live_environ: dict[str, str], services: Services
) -> dict[str, str]:
    """Return variables with which Ray and aweigh find the store, and jobs Ray."""
    return live_environ | {
        "PATH": f"{ray.folder / 'bin'}:{live_environ['PATH']}",
        "AWEIGH_STORE": f"s3://{services.s3_bucket}/ray/{uuid.uuid4().hex}",
        "AWS_ENDPOINT_URL": services.s3_endpoint,
        "AWS_ACCESS_KEY_ID": services.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": services.s3_secret_key,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def free_ports(count: int) -> list[str]:
    """Return ports that nobody listens on."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in taken]
    finally:
        for each in taken:
            each.close()


@pytest.fixture
def dashboard(ray: Peer, environ: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Return the address of the dashboard of a cluster of one node."""
    gcs, port, *agents = free_ports(6)
    # A node that has to find out its agents' ports dies when they take 15 seconds.
    named = ("listen-port", "grpc-port")
    options = [f"--dashboard-agent-{name}" for name in named]
    options += ["--runtime-env-agent-port", "--metrics-export-port"]
    head: list[str | Path] = [
        *(ray.program("ray"), "start", "--head", "--block", "--num-cpus", "2"),
        *("--node-ip-address", "127.0.0.1", "--port", gcs, "--dashboard-port", port),
        *(f"{option}={agent}" for option, agent in zip(options, agents, strict=True)),
        *("--disable-usage-stats", "--object-store-memory", str(100 << 20)),
    ]
    log = tmp_path / "head.log"
    with (
        log.open("w") as out,
        subprocess.Popen(head, env=environ, stdout=out, stderr=out) as process,
    ):
        try:
            yield wait_for(f"http://127.0.0.1:{port}", log)
        finally:
            # It ends what it started.
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(url: str, log: Path) -> str:
    """Wait until the dashboard takes jobs."""
    for _ in range(120):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/api/jobs/", timeout=5).close()  # noqa: S310
            if "Ray runtime started" in log.read_text():
                return url
        time.sleep(1)
    pytest.fail(f"{url} does not answer:\n{log.read_text()}")


def test_a_job_runs_in_the_bundle(
    ray: Peer, environ: dict[str, str], dashboard: str
) -> None:
    """Its driver and its tasks import what only the bundle has, twice, sent once."""
    first = ray.run(environ, "python", EXAMPLE, dashboard).splitlines()
    assert first[0].startswith("uploaded s3://")
    assert first[0].endswith("/bundle.zip")
    assert "letters: [7, 6]" in first
    again = ray.run(environ, "python", EXAMPLE, dashboard).splitlines()
    assert again[0] == first[0].replace("uploaded", "recalled")
    assert "letters: [7, 6]" in again


def test_image_and_working_directory_exclude_each_other(
    ray: Peer, environ: dict[str, str]
) -> None:
    """Ray refuses both: the code is in the bundle, or in a layer of the image."""
    program = (
        "from ray.runtime_env import RuntimeEnv\n"
        "try:\n"
        "    RuntimeEnv(image_uri='r/i@sha256:0', working_dir='s3://b/x/bundle.zip')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    told = ray.run(environ, "python", "-c", program)
    assert "working_dir" in told
    assert "image_uri" in told
