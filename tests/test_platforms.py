"""Images for several platforms, without an engine and without emulation."""

import asyncio
import dataclasses
import io
import json
import subprocess
import sys
import tarfile
import uuid
from pathlib import Path
from typing import Any

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.events import Warned, silent
from aweigh.image.image import Image
from aweigh.oci import Descriptor, Digest, Index, Manifest, Platform, Reference
from aweigh.oci.manifest import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from aweigh.settings import environment
from aweigh.testing import FaultProxy, RecordingListener
from aweigh.testing.exchange import Exchange
from tests.backends.assembler.support import (
    AMD64,
    ARM64,
    root_files,
    tar,
    unpacked_layer,
)
from tests.backends.registry_support import Nobody, blob
from tests.services import Services

MACHINES = {AMD64: "x86_64", ARM64: "aarch64"}
# Elf64_Ehdr.e_machine, of the two architectures.
ELF_MACHINES = {AMD64: 62, ARM64: 183}


async def push_base(client: RegistryClient, reference: Reference) -> None:
    """Push a base with Python 3.11 and glibc for both platforms."""
    entries = []
    for platform, machine in MACHINES.items():
        layer = tar(root_files("3.11", machine))
        diff_id = Digest.of(unpacked_layer(layer, OCI_LAYER_GZIP))
        config = json.dumps({
            "os": platform.os,
            "architecture": platform.architecture,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
        }).encode()  # fmt: skip
        for content in (layer, config):
            await client.push_blob(reference, blob(content), content)
        manifest = Manifest(config=blob(config, OCI_CONFIG), layers=(blob(layer),))
        content = manifest.to_bytes()
        pinned = reference.with_digest(Digest.of(content))
        entry = await client.put_manifest(pinned, content, OCI_MANIFEST)
        entries.append(dataclasses.replace(entry, platform=platform))
    index = Index(manifests=tuple(entries)).to_bytes()
    await client.put_manifest(reference, index, OCI_INDEX)


@pytest.fixture
async def spec(repository: str) -> ImageSpec:
    """Return a spec with a compiled package, on a base for two platforms."""
    base = Reference.parse(f"{repository}/base:1")
    async with open_registry(Nobody(), listener=silent) as client:
        await push_base(client, base)
    return (
        ImageSpec("many", base=str(base))
        .with_packages("charset-normalizer==3.4.3")
        .with_env(NONCE=uuid.uuid4().hex)
    )


@pytest.fixture
def settings(live: Settings) -> Settings:
    """Return settings with which no engine is found."""
    nowhere = f"unix://{live.cache_dir}/no.sock"
    return dataclasses.replace(live, builder="assemble", engine=nowhere)


async def entries_of(image: Image) -> dict[Platform, Descriptor]:
    """Return the manifests under an image's tag, by platform."""
    async with open_registry(Nobody(), listener=silent) as client:
        found = await client.get_manifest(image.reference)
    assert found is not None
    assert isinstance(found[0], Index)
    return {entry.platform: entry for entry in found[0].manifests if entry.platform}


async def libraries(image: Image, entry: Descriptor) -> dict[str, bytes]:
    """Return the shared libraries that our layers of a platform hold."""
    found = {}
    async with open_registry(Nobody(), listener=silent) as client:
        pinned = image.reference.with_digest(entry.digest)
        got = await client.get_manifest(pinned)
        assert got is not None
        assert isinstance(got[0], Manifest)
        for layer in got[0].layers:
            packed = await client.read_blob(pinned, layer)
            plain = unpacked_layer(packed, layer.media_type)
            with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
                for one in archive:
                    file = archive.extractfile(one) if one.isfile() else None
                    if file is not None and one.name.endswith(".so"):
                        found[one.name] = file.read()
    return found


async def test_each_platform_gets_its_own_libraries(
    settings: Settings, spec: ImageSpec
) -> None:
    """Both are assembled here; what is in them is for one processor or the other."""
    async with open_session(settings) as session:
        image = await session.ensure_image(spec.with_platforms(*map(str, MACHINES)))
    entries = await entries_of(image)
    assert set(entries) == set(MACHINES) == image.platforms
    for platform, entry in entries.items():
        found = await libraries(image, entry)
        assert found
        for name, content in found.items():
            assert content[:4] == b"\x7fELF"
            machine = int.from_bytes(content[18:20], "little")
            assert machine == ELF_MACHINES[platform], name
        seen = inspect(str(image), platform)
        assert seen["Architecture"] == platform.architecture


def inspect(image: str, platform: Platform) -> Any:
    """Let skopeo choose a platform of an image."""
    argv = ["skopeo", "--override-arch", platform.architecture, "inspect"]
    argv += ["--tls-verify=false", f"docker://{image}"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


async def test_a_platform_that_is_added_later_keeps_the_others(
    settings: Settings, spec: ImageSpec
) -> None:
    """The other entry is the same, to the digest; nothing of it is built again."""
    async with open_session(settings) as session:
        first = await session.ensure_image(spec, platforms=["linux/amd64"])
        before = await entries_of(first)
        second = await session.ensure_image(spec, platforms=["linux/arm64"])
        after = await entries_of(second)
        again = await session.ensure_image(spec.with_platforms(*map(str, MACHINES)))
    assert set(before) == {AMD64}
    assert set(after) == {AMD64, ARM64}
    assert after[AMD64] == before[AMD64]
    assert second.platforms == {AMD64, ARM64}
    assert (again.digest, again.origin) == (second.digest, "recalled")


class Gate:
    """Holds the first writes of several writers back until all of them write."""

    def __init__(self, writers: int) -> None:
        self._barrier = asyncio.Barrier(writers)

    async def apply(self, exchange: Exchange, /) -> None:
        """Wait for the others, then let the registry answer."""
        await self._barrier.wait()
        await exchange.relay()


async def test_two_machines_add_different_platforms_at_the_same_time(
    settings: Settings, services: Services, spec: ImageSpec, tmp_path: Path
) -> None:
    """Both have read the tag before either writes it; both entries are there then."""
    platforms = ["linux/amd64", "linux/arm64"]
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.aweigh.image]\nname = "raced"\nbase = "{spec.base}"\n'
        'packages = ["charset-normalizer==3.4.3"]\n'
        f'env = {{ NONCE = "{uuid.uuid4().hex}" }}\n'
    )
    async with FaultProxy(services.registry) as proxy:
        gate = Gate(len(platforms))
        proxy.next(*(gate for _ in platforms), method="PUT", path="aw-[0-9a-f]{20}$")
        name = str(settings.registry).partition("/")[2]
        environ = environment() | {
            "AWEIGH_REGISTRY": f"{proxy.address}/{name}",
            "AWEIGH_BUILDER": "assemble",
            "AWEIGH_ENGINE": str(settings.engine),
        }
        images = await asyncio.gather(
            *(_ensure(tmp_path, environ, platform) for platform in platforms)
        )
        puts = proxy.requests("PUT", "aw-[0-9a-f]{20}$")
    reference = Reference.parse(images[0]["reference"])
    found = dataclasses.replace(reference, registry=services.registry)
    async with open_registry(Nobody(), listener=silent) as client:
        got = await client.get_manifest(found)
    assert got is not None
    assert isinstance(got[0], Index)
    assert got[0].platforms == {AMD64, ARM64}
    assert len(got[0].manifests) == 2
    assert len(puts) > 2, "whose entry was overwritten wrote again"
    assert str(got[1].digest) in {image["digest"] for image in images}


async def _ensure(
    project: Path, environ: dict[str, str], platform: str
) -> dict[str, str]:
    """Ensure a project's image for one platform, on a machine of its own."""
    caches = str(project / platform.replace("/", "-"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aweigh", "ensure", "pyproject.toml", "--json"),
        *("--platform", platform),
        cwd=project,
        env=environ | {"AWEIGH_CACHE_DIR": caches},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    answer: dict[str, str] = json.loads(out)
    return answer


async def test_nothing_warns(settings: Settings, spec: ImageSpec) -> None:
    """An image for a foreign platform is as good as any."""
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        await session.ensure_image(spec, platforms=["linux/arm64"])
    assert heard.of(Warned) == []
