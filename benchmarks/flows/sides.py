"""The sides of the flow benchmark: each runs a program until its first line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from benchmarks.layers.engine import Engine, context
from benchmarks.measure import environ
from tests.peers.environment import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.services import Services

__all__ = ["Case", "Place", "Side", "opened"]

_HERE: Final = Path(__file__).parent
_ROOT: Final = _HERE.parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is to be run.

    Attributes:
        directory: The code; ``main.py`` prints its mark first, ``flow.py`` is a flow.
        mark: What its first line must be.
        packages: What it needs.
    """

    directory: Path
    mark: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where everybody works.

    Attributes:
        services: The engine, the registry and the base image.
        folder: For caches and data.
        uv: An image that has uv, for the peers that build.
        network: The engine's network that programs run on, on every side.
        token: What names the caches of this run.
    """

    services: Services
    folder: Path
    uv: str
    network: str
    token: str


class Side(Protocol):
    """One way of running a program."""

    def run(self, case: Case) -> float:
        """Run it and return the seconds until its first line."""
        ...


@contextmanager
def opened(name: str, place: Place) -> Iterator[Side]:
    """Start what a side needs, and stop it afterwards."""
    with ExitStack() as stack:
        yield _SIDES[name](place, stack)


def _ours(place: Place, stack: ExitStack) -> Side:
    services, folder = place.services, place.folder
    command = [sys.executable, "-m", "benchmarks.flows.ours", folder / "warm"]
    registry = f"{services.registry}/bench/{place.token}"
    told = [folder / "data", registry, services.engine, services.base]
    return _Driver(stack, [*command, *told], environ())


class _Cli:
    """`aweigh run` as a new process, from starting Python to the first line."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        del stack
        self._place = place
        self._environ = environ(
            AWEIGH_CACHE_DIR=str(place.folder / "cli"),
            AWEIGH_DATA_DIR=str(place.folder / "data"),
            AWEIGH_REGISTRY=f"{place.services.registry}/bench/{place.token}-cli",
            AWEIGH_ENGINE=place.services.engine,
        )

    def run(self, case: Case) -> float:
        spec = self._place.folder / "pyproject.toml"
        spec.write_text(
            f'[tool.aweigh.image]\nname = "bench-flow"\n'
            f'base = "{self._place.services.base}"\n'
            f"packages = {json.dumps(case.packages)}\n"
        )
        command = [sys.executable, "-m", "aweigh", "run", str(spec), "--quiet"]
        told = ["--dir", str(case.directory), "--", "python", "-u", "main.py"]
        return _first_line([*command, *told], self._environ, case.mark)


class _DockerRun:
    """`docker run` of an image that has everything: the floor."""

    side = "docker"
    code_first = False

    def __init__(self, place: Place, stack: ExitStack) -> None:
        del stack
        self._place = place
        self._engine = Engine(place.services.engine)
        self._built: tuple[str, ...] = ()

    def build(self, case: Case) -> str:
        """Build the image as a Dockerfile that installs and then copies the code."""
        copy = "WORKDIR /app\nCOPY app /app\n"
        first, last = (copy, "") if self.code_first else ("", copy)
        token = f"{self.side}-{self._place.token}"
        image = f"localhost/aweigh-bench-flow:{token}"
        packages = " ".join(case.packages)
        text = (
            f"FROM {self._place.services.base}\nENV UV_LINK_MODE=copy TOKEN={token}\n"
            f"RUN python3 -m venv --system-site-packages /opt/venv\n{first}"
            f"RUN --mount=from={self._place.uv},source=/uv,target=/uv"
            f" --mount=type=cache,target=/root/.cache/uv,id={token}"
            f" /uv pip install -q --python /opt/venv/bin/python {packages}\n"
            f'ENV PATH="/opt/venv/bin:$PATH"\n{last}'
        )
        self._engine.build(image, context(text, case.directory))
        return image

    def start(self, image: str, case: Case) -> float:
        """Run the image with the engine's own client."""
        command = ["docker", "--host", self._place.services.engine, "run", "--rm"]
        told = ["--network", self._place.network, image, "python", "-u", "main.py"]
        return _first_line([*command, *told], environ(), case.mark)

    def run(self, case: Case) -> float:
        return self.start(self.build(case), case)


class _BuildAndRun(_DockerRun):
    """Building with BuildKit before each run, as people do by hand."""

    side = "build"

    def run(self, case: Case) -> float:
        began = time.perf_counter()
        image = self.build(case)
        built = time.perf_counter() - began
        return built + self.start(image, case)


class _CopyAndBuild(_BuildAndRun):
    """The same with the code copied before the packages are installed."""

    side = "copied"
    code_first = True


def _ray(place: Place, stack: ExitStack) -> Side:
    del place
    ray = Peer("ray")
    quiet = environ(RAY_USAGE_STATS_ENABLED="0")
    start = [str(ray.program("ray")), "start", "--head", "--port=0", "--num-cpus=2"]
    subprocess.run(
        [*start, "--node-ip-address=127.0.0.1", "--dashboard-port=8265"],
        env=quiet,
        check=True,
        capture_output=True,
    )
    stop = [str(ray.program("ray")), "stop", "--force"]
    stack.callback(subprocess.run, stop, check=False, capture_output=True)
    command = [ray.program("python"), _HERE / "ray_side.py", "http://127.0.0.1:8265"]
    return _Driver(stack, command, quiet)


def _prefect(place: Place, stack: ExitStack) -> Side:
    prefect, port = Peer("prefect"), "18266"
    program = str(prefect.program("prefect"))
    alone = environ(
        PREFECT_HOME=str(place.folder / "prefect"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    )
    told = alone | {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    server = [program, "server", "start", "--host", "127.0.0.1", "--port", port]
    stack.enter_context(_background(server, alone))
    _wait_for(f"http://127.0.0.1:{port}/api/health")
    pool = [program, "work-pool", "create", "bench", "--type", "process"]
    subprocess.run(pool, env=told, check=True, capture_output=True)
    worker = [program, "worker", "start", "--pool", "bench"]
    stack.enter_context(_background(worker, told))
    return _Driver(
        stack, [prefect.program("python"), _HERE / "prefect_side.py", "bench"], told
    )


_SIDES: Final[Mapping[str, Any]] = {
    "ours": _ours,
    "cli": _Cli,
    "docker": _DockerRun,
    "build": _BuildAndRun,
    "copied": _CopyAndBuild,
    "ray": _ray,
    "prefect": _prefect,
}


class _Driver:
    """A process that is told what to run, a line for each, and answers with a line."""

    def __init__(
        self, stack: ExitStack, command: Sequence[object], env: Mapping[str, str]
    ) -> None:
        self._process = stack.enter_context(
            subprocess.Popen(
                [str(part) for part in command],
                env=env,
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(self._end)

    def run(self, case: Case) -> float:
        assert self._process.stdin
        assert self._process.stdout
        asked = {"directory": str(case.directory), "packages": case.packages}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        while not (line := self._process.stdout.readline()).startswith("{"):
            if not line:
                raise RuntimeError("the other process ended")
        answer = json.loads(line)
        assert answer["line"] == case.mark, answer
        return float(answer["seconds"])

    def _end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _first_line(command: Sequence[str], env: Mapping[str, str], mark: str) -> float:
    began = time.perf_counter()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout
        line = process.stdout.readline().decode().strip()
        seconds = time.perf_counter() - began
        process.stdout.read()
    assert (line, process.returncode) == (mark, 0), (line, mark, process.returncode)
    return seconds


@contextmanager
def _background(command: Sequence[str], env: Mapping[str, str]) -> Iterator[None]:
    with subprocess.Popen(
        command,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(url: str) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError(url)
