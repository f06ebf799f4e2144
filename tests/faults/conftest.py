"""Fixtures of the fault tests: real services behind a proxy, and short deadlines."""

import dataclasses
import functools
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aweigh import Settings
from aweigh.backends import registry as registry_backend
from aweigh.backends.engine import client as engine_client
from aweigh.backends.engine.client import Deadlines
from aweigh.settings import environment
from aweigh.testing import FaultProxy
from tests.faults.scene import Scene, scratch_spec
from tests.services import Services


@pytest.fixture
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the credentials of whoever runs the tests out of them."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nobody"))
    for variable in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nobody"))


@pytest.fixture
def deadline(monkeypatch: pytest.MonkeyPatch) -> float:
    """Give registries one second, so that no test waits for 30."""
    seconds = 1.0
    opening = functools.partial(registry_backend.open_registry, deadline=seconds)
    monkeypatch.setattr(registry_backend, "open_registry", opening)
    return seconds


@pytest.fixture
def engine_deadlines(monkeypatch: pytest.MonkeyPatch) -> Deadlines:
    """Give the engine a second for an answer or a push, three for a build."""
    short = Deadlines(answer=1.0, build=3.0, push=1.0)
    opening = functools.partial(engine_client.open_engine, deadlines=short)
    monkeypatch.setattr(engine_client, "open_engine", opening)
    return short


@pytest.fixture
async def proxy(services: Services) -> AsyncIterator[FaultProxy]:
    """Return a proxy in front of the open registry."""
    async with FaultProxy(services.registry) as opened:
        yield opened


@pytest.fixture
def built(live: Settings, proxy: FaultProxy, tmp_path: Path, _nobody: None) -> Scene:
    """Return a scene behind the proxy, where a missing image is built."""
    host, _, path = str(live.registry).partition("/")
    return Scene(
        settings=dataclasses.replace(live, registry=f"{proxy.address}/{path}"),
        spec=scratch_spec(tmp_path / "context"),
        host=host,
    )


@pytest.fixture
def scene(built: Scene, tmp_path: Path) -> Scene:
    """Return a scene behind the proxy, where nothing can be built."""
    return built.with_settings(engine=f"unix://{tmp_path}/no-engine")


@pytest.fixture
def nonce() -> str:
    """Return what makes this test's image different from all others."""
    return uuid.uuid4().hex


@pytest.fixture
def offline_environ(tmp_path: Path) -> dict[str, str]:
    """Return the environment of processes that need no service."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("1")
    return environment() | {
        "AWEIGH_CACHE_DIR": str(tmp_path / "cache"),
        "AWEIGH_DATA_DIR": str(tmp_path / "data"),
    }
