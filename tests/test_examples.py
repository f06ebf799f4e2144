"""The examples, run as a reader would run them."""

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.services import Services

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example_environ(live_environ: dict[str, str], services: Services) -> dict[str, str]:
    """Return the variables that examples read."""
    return live_environ | {"EXAMPLE_BASE": services.base}


def run(environ: dict[str, str], name: str, *argv: str) -> str:
    """Run an example to its end and return its output."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *argv],
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def free_port() -> str:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def wait_for_greeting(port: str, greeting: str) -> None:
    """Ask until the service greets like this."""
    deadline = time.monotonic() + 60
    seen = ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5) as page:
                seen = page.read().decode()
        except (urllib.error.URLError, ConnectionError):
            seen = "nothing"
        if seen == greeting:
            return
        time.sleep(0.05)
    raise TimeoutError(f"port {port} says {seen!r}")


def docker(services: Services, *argv: str) -> str:
    """Run the docker client."""
    command = ["docker", "--host", services.engine, *argv]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout


def test_quickstart(example_environ: dict[str, str]) -> None:
    """The first round builds and uploads, the second recalls."""
    lines = run(example_environ, "quickstart.py").splitlines()
    origins = [line.split()[1] for line in lines if not line.startswith("ready")]
    assert origins == ["built", "uploaded", "recalled", "recalled"]


def test_run_flow(example_environ: dict[str, str]) -> None:
    """Two tasks run at once in one image that has the code."""
    out = run(example_environ, "run_flow.py", "1000", "20000")
    assert out.splitlines() == ["counted to 1,000", "counted to 20,000"]


def test_deploy_flow(example_environ: dict[str, str], services: Services) -> None:
    """The service runs by digest; deploying the same again changes nothing."""
    port = free_port()
    chosen = ("--filter", "label=aweigh.name=example-service", "--no-trunc")
    try:
        first = run(example_environ, "deploy_flow.py", port)
        wait_for_greeting(port, "hello")
        container = docker(services, "ps", "-q", *chosen)
        assert run(example_environ, "deploy_flow.py", port) == first
        assert docker(services, "ps", "-q", *chosen) == container
        image = docker(
            services, "inspect", "-f", "{{.Config.Image}}", container.strip()
        )
        assert image.strip() == first.split()[1]
    finally:
        stop = [sys.executable, "-m", "aweigh", "stop", "example-service"]
        subprocess.run(stop, env=example_environ, check=True)


def test_serve_flow(example_environ: dict[str, str], tmp_path: Path) -> None:
    """An edit is served; Ctrl-C leaves no container."""
    folder = tmp_path / "task"
    shutil.copytree(EXAMPLES / "task", folder)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "serve_flow.py", str(folder), port],
        env=example_environ,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            wait_for_greeting(port, "hello")
            web = folder / "web.py"
            web.write_text(web.read_text().replace('"hello"', '"good day"'))
            wait_for_greeting(port, "good day")
        finally:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port))) != 0


def test_layers_standard(example_environ: dict[str, str]) -> None:
    """Every layer is named with what it moved; another run has nothing to make."""
    first = run(example_environ, "layers/standard.py").splitlines()
    made = [line for line in first if " bytes sent, made in " in line]
    assert {"environment", "files", "workdir"} < {line.split()[0] for line in made}
    assert len(made) == 5
    assert any(line.startswith("base ") for line in first)
    assert run(example_environ, "layers/standard.py").splitlines() == first[-1:]


def test_layers_heavy(example_environ: dict[str, str]) -> None:
    """The added package is all that moves."""
    out = run(
        example_environ, "layers/heavy.py", "pygments==2.19.2", "+", "iniconfig==2.0.0"
    )
    sizes = [
        int(line.split()[0].replace(",", ""))
        for line in out.splitlines()
        if " bytes sent, " in line
    ]
    assert len(sizes) == 2
    assert sizes[0] > 1_000_000
    assert sizes[1] < 100_000


def test_layers_one_package_at_a_time(example_environ: dict[str, str]) -> None:
    """Each package makes its own layer and the lock's, and reuses the others."""
    packages = ("iniconfig==2.0.0", "idna==3.10", "humanize==4.13.0")
    out = run(example_environ, "layers/one_package_at_a_time.py", *packages)
    lines = out.splitlines()
    assert [line.split()[1] for line in lines] == list(packages)
    made = [line.partition("made ")[2].partition(";")[0].split(", ") for line in lines]
    assert all("environment" in one and len(one) == 2 for one in made)
    assert len({frozenset(one) for one in made}) == 3
    assert [line.rpartition(" ")[2] for line in lines] == ["0", "1", "2"]
