"""Unpacking the wheels of a layer with uv, for a platform that need not be ours."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.process import run_process
from aweigh.backends.assembler.uvenv import scrubbed
from aweigh.backends.assembler.wheels.lockfile import write_lock
from aweigh.errors import BuildError, ChangedError, NeedsEngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.lock import LockedWheel
    from aweigh.oci import Platform

__all__ = ["Stager", "uv_platform"]

# OCI architecture -> what uv calls the machine, for both C libraries.
_MACHINES: Final = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "riscv64": "riscv64",
}
_GLIBC: Final = re.compile(r"manylinux_(\d+)_(\d+)")
# The releases of glibc that uv knows as platforms.
_KNOWN_MINORS: Final = (17, 28, *range(31, 41))
_SHOWN_LINES: Final = 20


def uv_platform(platform: Platform, libc: str) -> str:
    """Name a platform as ``uv --python-platform`` does.

    Raises:
        NeedsEngineError: uv has no name for it.
    """
    machine = _MACHINES.get(platform.architecture)
    if machine is None or platform.os != "linux" or platform.variant:
        raise NeedsEngineError(
            f"images for {platform} cannot be assembled",
            hint="build with builder='engine'",
        )
    match = _GLIBC.fullmatch(libc)
    if match is None:
        return f"{machine}-unknown-linux-musl"
    minor = max((one for one in _KNOWN_MINORS if one <= int(match[2])), default=17)
    return f"{machine}-manylinux_2_{minor}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stager:
    """Unpacks wheels for one image.

    Attributes:
        uv: The path of uv.
        environ: The environment it runs in: credentials, proxies, its cache.
        python: The Python version as ``X.Y``.
        platform: The platform in uv's words.
        local: The wheels that lie in the build context, by path in it.
        index_of: The index a wheel comes from.
    """

    uv: str
    environ: Mapping[str, str]
    python: str
    platform: str
    local: Mapping[str, Member]
    index_of: Callable[[LockedWheel], str]

    async def unpack(
        self, wheels: Sequence[LockedWheel], directory: Path, *, link_mode: str
    ) -> Path:
        """Unpack wheels into a new directory below ``directory``; return it.

        Cancelling ends uv; what it wrote is to be removed with the directory.

        Raises:
            BuildError: uv could not get a wheel, or it does not fit.
            ChangedError: A wheel of the context is not what it was.
        """
        stage = directory / "stage"
        stage.mkdir(parents=True)
        here = [wheel for wheel in wheels if wheel.url in self.local]
        there = [wheel for wheel in wheels if wheel.url not in self.local]
        if there:
            await self._install(there, stage, directory / "pylock.toml", link_mode)
        if here:
            placed = await asyncio.to_thread(self._place, here, directory / "wheels")
            # uv's cache knows local files by path: these would stay in it for ever.
            own = ("--cache-dir", str(directory / "cache"))
            lock = directory / "pylock.local.toml"
            await self._install(placed, stage, lock, link_mode, own)
        return stage

    async def _install(
        self,
        wheels: Sequence[LockedWheel],
        stage: Path,
        lock: Path,
        link_mode: str,
        more: Iterable[str] = (),
    ) -> None:
        await asyncio.to_thread(lock.write_text, write_lock(wheels, self.index_of))
        argv = [self.uv, "pip", "install", "--target", str(stage), "--no-deps"]
        argv += ["--python", sys.executable, "--python-version", self.python]
        argv += ["--python-platform", self.platform, "--only-binary", ":all:"]
        argv += ["--link-mode", link_mode, "--no-compile-bytecode", "--require-hashes"]
        argv += [
            "--no-config",
            "--no-progress",
            "--system-certs",
            "--preview-features",
            "pylock",
        ]
        argv += [*more, "-r", str(lock)]
        ended = await run_process(argv, environ=self.environ)
        if ended.code:
            names = ", ".join(wheel.filename for wheel in wheels[:3])
            raise BuildError(
                f"uv could not install {names}{' ...' if len(wheels) > 3 else ''}",  # noqa: PLR2004 - as many as shown
                hint="check that the index is reachable and that the wheels fit the "
                "base's Python and C library",
                step=f"install {names}",
                log=scrubbed(ended.output).splitlines()[-_SHOWN_LINES:],
            )

    def _place(
        self, wheels: Iterable[LockedWheel], directory: Path
    ) -> list[LockedWheel]:
        """Copy wheels of the context to where they have their own names again."""
        directory.mkdir()
        placed = []
        for wheel in wheels:
            path = directory / wheel.filename
            source = self.local[wheel.url].source
            if isinstance(source, bytes):
                path.write_bytes(source)
            elif source is not None:
                shutil.copyfile(source, path)
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != wheel.digest.hex:
                raise ChangedError(
                    f"{wheel.filename} has other content than when it was listed",
                    hint="wait until nothing writes to it, then try again",
                    paths=[wheel.filename],
                )
            placed.append(replace(wheel, url=str(path)))
        return placed
