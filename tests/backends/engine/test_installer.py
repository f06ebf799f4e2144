"""The installer image: made once, replaced when stale, for foreign platforms too."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aweigh.backends.engine import Engine, UvBinaries, inspect_image
from aweigh.backends.engine import installer as module
from aweigh.backends.engine.installer import InstallerImages
from aweigh.errors import EngineError
from aweigh.oci import Platform

HOST = Platform.host()
FOREIGN = Platform("linux", "arm64" if HOST.architecture != "arm64" else "amd64")
LABEL = "aweigh.installer.digest"


@dataclass
class Binaries:
    """A source whose binary the test writes; it counts what is fetched."""

    version: str
    path: Path
    fetched: list[Path] = field(default_factory=list)

    def at_hand(self, platform: Platform, /) -> Path | None:
        """Return the binary for the host."""
        return self.path if platform == HOST else None

    async def fetch(self, _platform: Platform, directory: Path, /) -> Path:
        """Write a binary."""
        target = directory / "uv"
        target.write_bytes(b"foreign")
        self.fetched.append(target)
        return target


@pytest.fixture
async def binaries(
    engine: Engine, mark: str, tmp_path: Path
) -> AsyncIterator[Binaries]:
    """Return a source with a version of its own; its images are removed."""
    path = tmp_path / "uv"
    path.write_bytes(b"one")
    source = Binaries(f"0.0.{mark}", path)
    yield source
    images = InstallerImages(engine, source)
    for platform in (HOST, FOREIGN):
        name = images.reference(platform)
        if await inspect_image(engine, name) is not None:
            await engine.send("DELETE", f"images/{name}")


async def test_the_image_is_made_once(engine: Engine, binaries: Binaries) -> None:
    """Many who want it at the same time get one image; later nothing is built."""
    images = InstallerImages(engine, binaries)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(images.ensure(HOST))
    name = images.reference(HOST)
    assert (
        name
        == f"localhost/aweigh-installer:uv-{binaries.version}-{HOST.os}-"
        + "-".join(filter(None, (HOST.architecture, HOST.variant)))
    )
    first = await inspect_image(engine, name)
    assert first is not None
    assert first.labels[LABEL].startswith("sha256:")
    await InstallerImages(engine, binaries).ensure(HOST)
    assert await inspect_image(engine, name) == first


async def test_another_binary_replaces_the_image(
    engine: Engine, binaries: Binaries
) -> None:
    """The label tells that the image is stale."""
    images = InstallerImages(engine, binaries)
    await images.ensure(HOST)
    before = await inspect_image(engine, images.reference(HOST))
    binaries.path.write_bytes(b"two")
    await InstallerImages(engine, binaries).ensure(HOST)
    after = await inspect_image(engine, images.reference(HOST))
    assert before is not None
    assert after is not None
    assert before.labels[LABEL] != after.labels[LABEL]
    await engine.send("DELETE", f"images/{before.id}")


async def test_a_foreign_binary_is_fetched_once(
    engine: Engine, binaries: Binaries
) -> None:
    """It is put into an image of its platform and removed from this machine."""
    for _ in range(2):
        images = InstallerImages(engine, binaries)
        await images.ensure(FOREIGN)
    (fetched,) = binaries.fetched
    assert not fetched.exists()
    found = await inspect_image(engine, images.reference(FOREIGN))
    assert found is not None
    assert found.platform == FOREIGN


async def test_the_real_uv_is_at_hand_for_this_machine() -> None:
    """It is the very uv this package depends on, and runs."""
    source = UvBinaries()
    path = source.at_hand(HOST)
    assert path is not None
    said: bytes = await asyncio.to_thread(
        subprocess.check_output, [str(path), "--version"]
    )
    assert source.version in said.decode()
    assert source.at_hand(FOREIGN) is None


async def test_uv_is_fetched_for_another_platform(tmp_path: Path) -> None:
    """The binary has the other processor's number in its header."""
    path = await UvBinaries().fetch(FOREIGN, tmp_path)
    header = await asyncio.to_thread(lambda: path.read_bytes()[:20])
    machine = {"arm64": 0xB7, "amd64": 0x3E}[FOREIGN.architecture]
    assert header.startswith(b"\x7fELF")
    assert int.from_bytes(header[18:20], "little") == machine


async def test_unknown_platforms_are_refused(tmp_path: Path) -> None:
    """The hint names those that work."""
    with pytest.raises(EngineError, match="no installer for linux/s390x") as caught:
        await UvBinaries().fetch(Platform("linux", "s390x"), tmp_path)
    assert "linux/amd64" in caught.value.hint


async def test_a_failing_fetch_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uv says is in the error, without an index's credentials."""
    monkeypatch.setenv("UV_INDEX_URL", "http://me:canary@127.0.0.1:1/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    with pytest.raises(
        EngineError, match=r"could not be fetched: .*127\.0\.0\.1"
    ) as found:
        await UvBinaries().fetch(FOREIGN, tmp_path)
    assert "canary" not in str(found.value)


async def test_cancelling_ends_the_subprocess() -> None:
    """No uv is left behind."""
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    task = asyncio.create_task(module._run(*sleep))
    await asyncio.sleep(0.1)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
