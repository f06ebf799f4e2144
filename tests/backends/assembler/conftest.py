"""Fixtures of the assembler's tests: a fake registry and builders that push to it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aweigh.backends.assembler import AssembleBuilder
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.image.build import BuildRequest
from aweigh.memory import Memory
from aweigh.oci import Digest, Manifest, Reference
from aweigh.settings import environment
from aweigh.testing import DictMemory, FakeRegistry, RecordingListener
from tests.backends.assembler.support import WheelResolver
from tests.backends.registry_support import Nobody


@dataclass(slots=True, kw_only=True)
class Yard:
    """A fake registry, and builders like those of several machines."""

    fake: FakeRegistry
    client: RegistryClient
    heard: RecordingListener
    resolver: WheelResolver
    directory: Path
    machines: int = 0

    @property
    def reference(self) -> Reference:
        """Where images go."""
        return Reference.parse(f"{self.fake.host}/team/app:1")

    def machine(self, memory: Memory | None = None) -> AssembleBuilder:
        """Return the builder of a machine with empty caches, or with this memory."""
        self.machines += 1
        return AssembleBuilder(
            registry=self.client,
            resolver=self.resolver,
            memory=memory or DictMemory(),
            cache_dir=self.directory / f"machine-{self.machines}",
            environ=environment(),
            listener=self.heard,
        )

    async def build(
        self, request: BuildRequest, builder: AssembleBuilder | None = None
    ) -> Manifest:
        """Build on a new machine, or with this builder; return what was pushed."""
        built = await (builder or self.machine()).build(request)
        return await self.manifest(request.reference, built.digest)

    async def manifest(self, reference: Reference, digest: Digest) -> Manifest:
        """Read a platform's manifest."""
        found = await self.client.get_manifest(reference.with_digest(digest))
        assert found is not None
        assert isinstance(found[0], Manifest)
        return found[0]

    def pushed(self) -> int:
        """Count the blobs whose bytes were sent to the destination so far."""
        return len(self.fake.requests("PUT", "/v2/team/app/blobs/uploads/"))


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """Return a yard whose temporary directories are checked when the test ends."""
    heard = RecordingListener()
    async with (
        FakeRegistry() as fake,
        open_registry(Nobody(), listener=heard) as client,
    ):
        yard = Yard(
            fake=fake,
            client=client,
            heard=heard,
            resolver=WheelResolver(),
            directory=tmp_path / "machines",
        )
        yield yard
        for place in (tmp_path / "machines").glob("*/assemble/*"):
            pytest.fail(f"{place} was left behind")
