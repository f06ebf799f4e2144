"""Fixtures of the package sets; the large ones run only when somebody asks."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packages.tools import Container, Engine, install_pip, throwaway_registry
from tests.services import Services

ROWS = pytest.StashKey[list[str]]()
_HEAD = """
| set | asked for | distributions | layers | size | assemble | all | imports | scripts |
|---|---|---|---|---|---|---|---|---|"""


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave large sets out, whatever else is chosen, unless the marker is named."""
    if "packages" in config.option.markexpr:
        return
    large = [item for item in items if item.get_closest_marker("packages")]
    if large:
        config.hook.pytest_deselected(items=large)
        items[:] = [item for item in items if item not in large]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write the table of what was validated."""
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.write_line("\n".join([_HEAD, *rows]))


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[str]:
    """Return the rows of the table."""
    return pytestconfig.stash.setdefault(ROWS, [])


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where pip is."""
    return install_pip(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def bare(services: Services, tools: Path) -> Container:
    """Return containers of the base, without packages."""
    return Container(engine=Engine(services.engine), image=services.base, tools=tools)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a directory that does not outlive the test: gigabytes would add up."""
    directory = tmp_path / "place"
    directory.mkdir()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def own_registry(place: Path) -> Iterator[str]:
    """Return a registry that holds nothing, as ``host:port``."""
    with throwaway_registry(place) as address:
        yield address
