"""How layers of a base come to an image's repository, and what is told of it."""

import dataclasses
import json
import subprocess
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aweigh.backends.assembler import AssembleBuilder
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.errors import AuthenticationError
from aweigh.events import BlobPushed, PushProgressed
from aweigh.image.spec import ImageSpec
from aweigh.oci import Manifest, Platform, Reference
from aweigh.settings import environment
from aweigh.testing import DictMemory, RecordingListener
from tests.backends.assembler.support import WheelResolver, request_of, write_wheel
from tests.backends.registry_support import Nobody, Somebody
from tests.conftest import AccessLog
from tests.services import Services


@dataclasses.dataclass(slots=True, kw_only=True)
class Harbour:
    """A builder for the real registries, and what it says."""

    client: RegistryClient
    builder: AssembleBuilder
    heard: RecordingListener
    root: Path
    destination: Reference

    async def build(self, base: str) -> Manifest:
        """Assemble a tiny wheel on a base; return what was pushed."""
        spec = (
            ImageSpec("t", base=base)
            .with_wheel("dist/*.whl")
            .with_env(NONCE=uuid.uuid4().hex)
        )
        request = request_of(
            spec, self.root, self.destination, platform=Platform.host()
        )
        built = await self.builder.build(request)
        pinned = self.destination.with_digest(built.digest)
        found = await self.client.get_manifest(pinned)
        assert found is not None
        assert isinstance(found[0], Manifest)
        return found[0]

    def pushed(self) -> dict[str, BlobPushed]:
        """Return what was told of each layer."""
        return {event.layer: event for event in self.heard.of(BlobPushed)}


def layers_of(reference: Reference) -> list[str]:
    """Let skopeo list an image's layers."""
    argv = ["skopeo", "inspect", "--tls-verify=false", f"docker://{reference}"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    layers: list[str] = json.loads(done.stdout)["Layers"]
    return layers


@pytest.fixture
async def harbour(
    services: Services, repository: str, tmp_path: Path
) -> AsyncIterator[Harbour]:
    """Return a builder on a machine with empty caches."""
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    heard = RecordingListener()
    login = Somebody(
        username=services.secure_username, password=services.secure_password
    )
    async with open_registry(
        login, ca_file=services.secure_ca, listener=heard
    ) as client:
        yield Harbour(
            client=client,
            builder=AssembleBuilder(
                registry=client,
                resolver=WheelResolver(),
                memory=DictMemory(),
                cache_dir=tmp_path / "cache",
                environ=environment(),
                listener=heard,
            ),
            heard=heard,
            root=tmp_path,
            destination=Reference.parse(f"{repository}:1"),
        )


async def test_base_layers_are_streamed_from_another_registry(
    harbour: Harbour, services: Services
) -> None:
    """With its credentials; every byte is told while it moves; skopeo sees them all."""
    manifest = await harbour.build(services.secure_base)

    bottom = manifest.layers[0]
    name = f"base {bottom.digest.hex[:12]}"
    assert harbour.pushed()[name] == BlobPushed(
        layer=name, reused=False, size=bottom.size
    )
    progress = [
        event for event in harbour.heard.of(PushProgressed) if event.layer == name
    ]
    done = [event.done for event in progress]
    assert len(done) > 2
    assert done == sorted(done)
    assert done[-1] == bottom.size
    assert {event.total for event in progress} == {bottom.size}
    sizes = {event.size for event in harbour.pushed().values() if not event.reused}
    assert {layer.size for layer in manifest.layers} <= sizes
    digests = [str(layer.digest) for layer in manifest.layers]
    assert layers_of(harbour.destination) == digests
    assert not list((harbour.root / "cache" / "assemble").iterdir())


async def test_base_layers_of_the_same_registry_are_mounted(
    harbour: Harbour, services: Services, access_log: AccessLog
) -> None:
    """No byte of them moves; how many they are is told."""
    base = Reference.parse(services.base)
    manifest = await harbour.build(services.base)

    bottom = manifest.layers[0]
    name = f"base {bottom.digest.hex[:12]}"
    assert harbour.pushed()[name] == BlobPushed(
        layer=name, reused=True, size=bottom.size
    )
    lines = access_log.lines()
    mount = f"?mount={bottom.digest}&from={base.repository}"
    assert any(line.startswith("POST ") and mount in line for line in lines)
    assert not any("PUT " in line and bottom.digest.hex in line for line in lines)
    assert name not in {event.layer for event in harbour.heard.of(PushProgressed)}


async def test_layers_that_are_there_are_told_with_their_size(
    harbour: Harbour, services: Services
) -> None:
    """The second image of a machine reuses all but its config."""
    first = await harbour.build(services.base)
    harbour.heard.events.clear()
    second = await harbour.build(services.base)
    assert second.layers == first.layers
    told = harbour.pushed()
    assert [name for name, event in told.items() if not event.reused] == ["config"]
    reused = sum(event.size for event in told.values() if event.reused)
    assert reused == sum(layer.size for layer in first.layers)
    sent = {event.layer for event in harbour.heard.of(PushProgressed)}
    assert sent == {"config"}


async def test_nobody_streams_without_a_login(
    harbour: Harbour, services: Services, tmp_path: Path
) -> None:
    """The registry of the base is named, and nothing is left behind."""
    async with open_registry(
        Nobody(), ca_file=services.secure_ca, listener=harbour.heard
    ) as client:
        anonymous = dataclasses.replace(
            harbour,
            builder=AssembleBuilder(
                registry=client,
                resolver=WheelResolver(),
                memory=DictMemory(),
                cache_dir=tmp_path / "other",
                environ=environment(),
            ),
        )
        with pytest.raises(AuthenticationError, match=services.secure_registry):
            await anonymous.build(services.secure_base)
    assert not list((tmp_path / "other" / "assemble").iterdir())
