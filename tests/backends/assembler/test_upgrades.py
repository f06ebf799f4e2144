"""A release that appears in an index moves no layer that nobody asked to move."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aweigh.backends.assembler import AssembleBuilder
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.backends.resolver import UvResolver
from aweigh.events import silent
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Manifest, Platform, Reference
from aweigh.testing import DictMemory
from tests.backends.assembler.support import request_of, write_wheel
from tests.backends.registry_support import Nobody
from tests.backends.resolver.place import Place
from tests.conftest import AccessLog
from tests.services import Services


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a local index that machines resolve and install from."""
    place = Place(tmp_path)
    thread = threading.Thread(target=place.index.server.serve_forever, args=(0.01,))
    thread.start()
    yield place
    place.index.server.shutdown()
    thread.join()
    place.index.server.server_close()


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Machines with empty caches that build for one repository."""

    client: RegistryClient
    place: Place
    base: str
    repository: str
    machines: int = 0

    async def build(
        self, *packages: str, refresh: bool = False
    ) -> dict[str, Descriptor]:
        """Build with these packages on a new machine; return our layers by name."""
        self.machines += 1
        root = self.place.root / f"machine-{self.machines}"
        uv = {
            "UV_CACHE_DIR": str(root / "uv"),
            "UV_DEFAULT_INDEX": self.place.index.url,
        }
        builder = AssembleBuilder(
            registry=self.client,
            resolver=UvResolver(self.place.uv(**uv), seconds=60),
            memory=DictMemory(),
            cache_dir=root,
            environ=self.place.environ | uv,
        )
        spec = ImageSpec("t", base=self.base).with_packages(*packages)
        reference = Reference.parse(f"{self.repository}:{self.machines}")
        request = request_of(spec, self.place.root, reference, platform=Platform.host())
        built = await builder.build(replace(request, refresh=refresh))
        found = await self.client.get_manifest(reference.with_digest(built.digest))
        assert found is not None
        assert isinstance(found[0], Manifest)
        return {
            layer.annotations["aweigh.layer"]: layer
            for layer in found[0].layers
            if "aweigh.layer" in layer.annotations
        }

    def release(self, name: str, version: str) -> None:
        """Put a release into the index."""
        write_wheel(
            self.place.dist, name, {f"{name}.py": f"v = '{version}'\n"}, version=version
        )


@pytest.fixture
async def fleet(
    services: Services, repository: str, place: Place
) -> AsyncIterator[Fleet]:
    """Return machines that share nothing but the real registry and an index."""
    async with open_registry(Nobody(), listener=silent) as client:
        yield Fleet(
            client=client, place=place, base=services.base, repository=repository
        )


async def test_a_light_package_moves_no_heavy_layer(
    fleet: Fleet, access_log: AccessLog
) -> None:
    """Neither by a newer release nor on an empty machine; upgrading takes the newer."""
    await asyncio.to_thread(fleet.release, "torch", "1.0")
    before = await fleet.build("torch")
    await asyncio.to_thread(fleet.release, "torch", "2.0")
    await asyncio.to_thread(fleet.release, "small", "1.0")
    await asyncio.to_thread(access_log.mark)

    after = await fleet.build("torch", "small")

    assert after["torch"] == before["torch"]
    path = fleet.repository.partition("/")[2]
    told = await asyncio.to_thread(access_log.lines)
    lines = [line for line in told if f"/v2/{path}/" in line]
    heavy = [line for line in lines if before["torch"].digest.hex in line]
    assert heavy, "asked whether it is there"
    assert {line.partition(" ")[0] for line in heavy} == {"HEAD"}
    # The new light layer, the environment with its lock, and the config.
    sent = [line for line in lines if line.startswith("PUT ") and "/uploads/" in line]
    assert len(sent) == 3
    newest = await fleet.build("torch", "small", refresh=True)
    assert newest["torch"].digest != before["torch"].digest
    lights = [
        [one for name, one in layers.items() if name.startswith("light")]
        for layers in (after, newest)
    ]
    assert lights[0] == lights[1]


async def test_a_requirement_outweighs_what_was_there(fleet: Fleet) -> None:
    """The earlier version is kept where it still fits, and only there."""
    await asyncio.to_thread(fleet.release, "torch", "1.0")
    before = await fleet.build("torch")
    await asyncio.to_thread(fleet.release, "torch", "2.0")
    after = await fleet.build("torch>=2")
    assert after["torch"].digest != before["torch"].digest
