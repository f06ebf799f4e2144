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
REAL_TESTS = pytest.StashKey[int]()


def pytest_configure() -> None:
    """Let tests interrupt their processes, also where ours ignores it.

    A shell starts what it puts in the background with SIGINT ignored, and children
    inherit that. No example has a deadline: the machine may be busy with others, and
    how long something takes is for the benchmarks.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("busy", deadline=None)
    hypothesis.settings.load_profile("busy")


@pytest.hookimpl(tryfirst=True)  # before `-m real` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that reaches the services, through whichever fixture."""
    for item in items:
        if "services" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count the real tests that were not deselected."""
    session.config.stash[REAL_TESTS] = sum(
        item.get_closest_marker("real") is not None for item in session.items
    )


def _too_few_real_tests(config: pytest.Config) -> bool:
    wanted = int(setting("AWEIGH_MIN_REAL_TESTS") or 0)
    return config.stash.get(REAL_TESTS, 0) < wanted


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that would otherwise pass with fewer real tests than demanded."""
    green = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if exitstatus in green and _too_few_real_tests(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many tests use real services, so that their loss is seen."""
    count = config.stash.get(REAL_TESTS, 0)
    terminalreporter.write_line(f"real-service tests: {count} collected")
    if _too_few_real_tests(config):
        wanted = setting("AWEIGH_MIN_REAL_TESTS")
        terminalreporter.write_line(
            f"FAILED: AWEIGH_MIN_REAL_TESTS demands {wanted}", red=True
        )


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
    own, with a path nobody else uses, tells how far the log has been written: what was
    answered before that request was sent is above its line. (Answers still under way on
    other connections, or those of tests running beside, are not covered.)

    Attributes:
        path: The log, in Apache's combined format.
        registry: The registry that writes it (plain HTTP), as `host:port`.
        timeout: Seconds to wait for the log to catch up.
    """

    path: Path
    registry: str
    timeout: float = 5.0
    _offset: int = field(default=0, init=False)

    def mark(self) -> None:
        """Forget what was requested so far."""
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
