"""Fixtures for the real services, and the count of tests that use them."""

import signal
import time
import uuid
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import hypothesis
import pytest

from aweigh.settings import Settings, environment
from tests.services import Services, find_services, setting

SETUP_HINT = "real services are not running: sudo .ci/setup"
# What measures a service as a whole: nothing else may use that meanwhile.
ALONE = frozenset({"access_log", "swarm"})


def pytest_configure(config: pytest.Config) -> None:
    """Let tests interrupt their processes, also where ours ignores it.

    A shell starts what it puts in the background with SIGINT ignored, and children
    inherit that. No example has a deadline: the machine may be busy with others, and
    how long something takes is for the benchmarks.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")
    if not hasattr(config, "workerinput"):  # whoever hears all workers counts
        config.pluginmanager.register(RealTests())


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that reaches the services, through whichever fixture."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if "services" in fixtures:
            item.add_marker(pytest.mark.real)
        if not ALONE.isdisjoint(fixtures):
            item.add_marker(pytest.mark.alone)


class RealTests:
    """Counts the tests that passed with real services, so that their loss is seen."""

    def __init__(self) -> None:
        self._passed: set[str] = set()
        self._wanted = int(setting("AWEIGH_MIN_REAL_TESTS") or 0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once, however often it had to run."""
        if report.when == "call" and report.passed and "real" in report.keywords:
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run that would otherwise pass with fewer than demanded."""
        green = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
        if exitstatus in green and len(self._passed) < self._wanted:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Say how many passed."""
        count = len(self._passed)
        terminalreporter.write_line(f"real-service tests: {count} passed")
        if count < self._wanted:
            demand = f"FAILED: AWEIGH_MIN_REAL_TESTS demands {self._wanted}"
            terminalreporter.write_line(demand, red=True)


@pytest.fixture(scope="session")
def services() -> Services:
    """Return the real services; without them, skip, or fail in CI."""
    found = find_services()
    if found is not None:
        return found
    if setting("CI"):
        pytest.fail(SETUP_HINT, pytrace=False)
    pytest.skip(SETUP_HINT)


@pytest.fixture
def repository(services: Services) -> str:
    """Return a repository on the open registry that no other test uses."""
    return f"{services.registry}/t/{uuid.uuid4().hex}"


@dataclass(slots=True, kw_only=True)
class AccessLog:
    """The requests a registry answered since a mark.

    A line is written after its answer, so a reader can come too early. A request of our
    own, with a path nobody else uses, tells how far the log has been written. What was
    answered before it on another connection may still come below its line, so a mark
    waits for that first. (Requests of tests that run beside would be here too: who has
    this fixture runs alone.)

    Attributes:
        path: The log, in Apache's combined format.
        registry: The registry that writes it (plain HTTP), as `host:port`.
        timeout: Seconds to wait for the log to catch up.
        late: Seconds by which a line may come after its answer.
    """

    path: Path
    registry: str
    timeout: float = 5.0
    late: float = 0.2
    _offset: int = field(default=0, init=False)

    def mark(self) -> None:
        """Forget what was requested so far."""
        time.sleep(self.late)
        self._read_until_settled()

    def lines(self) -> list[str]:
        """Return the request lines since the mark, such as `GET /v2/ HTTP/1.1`.

        Reading moves no mark: a second call returns these lines and any new ones.

        Raises:
            TimeoutError: The log did not catch up.
        """
        before = self._offset
        try:
            text = self._read_until_settled()
        finally:
            self._offset = before
        requests = (line.split('"', 2)[1] for line in text.splitlines())
        return [request for request in requests if "/aweigh-log-mark-" not in request]

    def _read_until_settled(self) -> str:
        mark = f"/aweigh-log-mark-{uuid.uuid4().hex}"
        connection = HTTPConnection(self.registry, timeout=self.timeout)
        try:
            connection.request("HEAD", mark)
            connection.getresponse().read()
        finally:
            connection.close()
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            with self.path.open("rb") as log:
                log.seek(self._offset)
                data = log.read()
            if mark.encode() in data and data.endswith(b"\n"):
                self._offset += len(data)
                return data.decode()
            time.sleep(0.005)
        raise TimeoutError(f"{self.path} does not show {mark}")


@pytest.fixture
def access_log(services: Services) -> AccessLog:
    """Return the open registry's requests, counted from the start of the test."""
    log = AccessLog(path=services.registry_log, registry=services.registry)
    log.mark()
    return log


@pytest.fixture
def live(services: Services, repository: str, tmp_path: Path) -> Settings:
    """Return settings for the real services, with names and caches of our own."""
    return Settings(
        registry=repository,
        engine=services.engine,
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "data",
    )


@pytest.fixture
def live_environ(live: Settings) -> dict[str, str]:
    """Return the same settings as variables for a new process."""
    return environment() | {
        "AWEIGH_REGISTRY": str(live.registry),
        "AWEIGH_ENGINE": str(live.engine),
        "AWEIGH_CACHE_DIR": str(live.cache_dir),
        "AWEIGH_DATA_DIR": str(live.data_dir),
    }
