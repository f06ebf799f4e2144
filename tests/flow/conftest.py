"""What tests of flows begin with: a spec, a directory of code, a look at registries."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aweigh import ImageSpec
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.events import silent
from tests.faults.scene import Nobody
from tests.flow.sources import some_code, some_spec
from tests.services import Services


@pytest.fixture
async def registry() -> AsyncIterator[RegistryClient]:
    """Return a client of all registries."""
    async with open_registry(Nobody(), listener=silent) as client:
        yield client


@pytest.fixture
def spec(services: Services) -> ImageSpec:
    """Return the spec of an image of this test's own."""
    return some_spec(services)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a directory of code."""
    return some_code(tmp_path / "code")
