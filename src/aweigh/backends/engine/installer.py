"""The installer image: nothing but uv, bind-mounted into build steps that need it."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import uv
from aiofiles.tempfile import TemporaryDirectory

from aweigh.archive.member import Member
from aweigh.backends.engine.buildkit import BuildKitJob, run_buildkit
from aweigh.backends.engine.local import inspect_image
from aweigh.backends.engine.text import clean_line
from aweigh.concurrency.programs import end, started
from aweigh.errors import EngineError
from aweigh.events import silent
from aweigh.oci import Digest, Platform

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine

__all__ = ["InstallerImages", "InstallerSource", "UvBinaries"]

# Where an engine asks a registry before its own store, this one is nobody's.
INSTALLER_REPOSITORY = "localhost/aweigh-installer"
_LABEL = "aweigh.installer.digest"
_DOCKERFILE = "FROM scratch\nCOPY --chmod=0755 uv /uv\n"
# Statically linked, so that one binary runs on every distribution.
_TRIPLES = {
    Platform("linux", "amd64"): "x86_64-unknown-linux-musl",
    Platform("linux", "arm64"): "aarch64-unknown-linux-musl",
}


class InstallerSource(Protocol):
    """Where the installer's binary comes from."""

    @property
    def version(self) -> str:
        """The installer's version, as in ``uv==0.13.9``."""
        ...

    def at_hand(self, platform: Platform, /) -> Path | None:
        """Return the binary for this platform when this machine has it."""
        ...

    async def fetch(self, platform: Platform, directory: Path, /) -> Path:
        """Put the binary for this platform into a directory and return its path.

        Raises:
            EngineError: There is none for it, or it could not be fetched.
        """
        ...


class UvBinaries:
    """The uv that aweigh itself depends on; for other platforms, the same version."""

    @property
    def version(self) -> str:
        """The version of the installed uv."""
        return version("uv")

    def at_hand(self, platform: Platform, /) -> Path | None:
        """Return the installed binary when the platform is this machine's."""
        is_usable = platform == Platform.host() and sys.platform == "linux"
        return Path(uv.find_uv_bin()) if is_usable else None

    async def fetch(self, platform: Platform, directory: Path, /) -> Path:
        """Install uv for another platform into a directory, with uv.

        Cancelling ends the subprocess; the directory is the caller's to remove.

        Raises:
            EngineError: uv is not made for this platform, or no index answered.
        """
        if platform not in _TRIPLES:
            raise EngineError(
                f"there is no installer for {platform}",
                hint="build for " + " or ".join(map(str, sorted(_TRIPLES))),
            )
        await _run(
            *(uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps"),
            *("--python", sys.executable, "--target", str(directory)),
            *("--python-platform", _TRIPLES[platform], "--only-binary", ":all:"),
            f"uv=={self.version}",
        )
        return directory / "bin" / "uv"


class InstallerImages:
    """The installer images of one engine, made when first needed.

    Args:
        engine: Where they are.
        source: Where the binaries come from.
    """

    def __init__(self, engine: Engine, source: InstallerSource) -> None:
        self._engine = engine
        self._source = source
        self._locks: dict[Platform, asyncio.Lock] = {}
        self._seen: dict[Platform, Digest] = {}

    def reference(self, platform: Platform) -> str:
        """Return the name of the image for a platform, whether it exists or not."""
        parts = filter(None, (platform.os, platform.architecture, platform.variant))
        return f"{INSTALLER_REPOSITORY}:uv-{self._source.version}-{'-'.join(parts)}"

    async def ensure(self, platform: Platform) -> None:
        """Have the image for a platform in the engine.

        The label of an image tells which binary it holds, and one that holds another
        than this machine's is replaced. Processes that do this at the same time make
        the same image. Cancelling leaves the image as it was.

        Raises:
            EngineError: The engine is missing, or there is no binary.
        """
        async with self._locks.setdefault(platform, asyncio.Lock()):
            found = await inspect_image(self._engine, self.reference(platform))
            held = found.labels.get(_LABEL) if found else None
            binary = await asyncio.to_thread(self._source.at_hand, platform)
            if binary is not None:
                wanted = await self._digest(platform, binary)
                if held != str(wanted):
                    await self._make(platform, binary, wanted)
            elif held is None:
                await self._fetch_and_make(platform)

    async def _digest(self, platform: Platform, binary: Path) -> Digest:
        if platform not in self._seen:
            self._seen[platform] = await asyncio.to_thread(_digest_file, binary)
        return self._seen[platform]

    async def _fetch_and_make(self, platform: Platform) -> None:
        async with TemporaryDirectory(prefix="aweigh-installer-") as directory:
            binary = await self._source.fetch(platform, Path(directory))
            wanted = await asyncio.to_thread(_digest_file, binary)
            await self._make(platform, binary, wanted)

    async def _make(self, platform: Platform, binary: Path, digest: Digest) -> None:
        size = (await asyncio.to_thread(binary.stat)).st_size
        member = Member(
            path="uv",
            kind="file",
            executable=True,
            size=size,
            source=binary,
            digest=digest,
        )
        job = BuildKitJob(
            dockerfile=_DOCKERFILE,
            members=(member,),
            tag=self.reference(platform),
            platform=platform,
            labels={_LABEL: str(digest)},
        )
        await run_buildkit(self._engine, job, silent)


def _digest_file(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


async def _run(*command: str) -> None:
    process = await started(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        _, said = await process.communicate()
    finally:
        await end(process)
    if process.returncode != 0:
        lines = said.decode(errors="replace").splitlines()
        reason = " ".join(filter(None, (clean_line(line).strip() for line in lines)))
        raise EngineError(
            f"the installer could not be fetched: {reason}",
            hint="check the package index and the network, or build on a machine of "
            "the wanted platform",
        )
