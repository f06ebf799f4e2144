"""Local projects become wheels, on this machine and before anything else happens."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import sys
import sysconfig
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from uv import find_uv_bin

from aweigh.archive.member import Member
from aweigh.backends.assembler.bases.fits import misfit
from aweigh.backends.assembler.process import run_process
from aweigh.backends.assembler.uvenv import build_environment, scrubbed
from aweigh.backends.assembler.wheels.archive import normalise_wheel
from aweigh.backends.assembler.wheels.sources import local_sources, with_wheels
from aweigh.backends.assembler.wheels.store import WheelStore
from aweigh.concurrency.together import every
from aweigh.errors import (
    BuildError,
    ChangedError,
    InvalidValueError,
    NeedsEngineError,
)
from aweigh.image.scratch import scratch
from aweigh.memory import digest_parts
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from aweigh.backends.assembler.bases.base import BaseFacts
    from aweigh.backends.assembler.wheels.sources import LocalSource
    from aweigh.image.build import BuildRequest
    from aweigh.image.snapshot import Snapshot

__all__ = ["Wheelhouse"]

# Raise it when the same files would become another wheel.
_FORMAT: Final = "wheel-1"
_AT_ONCE: Final = 2
_SHOWN_LINES: Final = 20
_LONGEST: Final = 1000
_NAME: Final = "project"
# uv takes settings and workspaces from the nearest parent, which must not be a project
# that happens to have our directories within.
_BOUNDARY: Final = {
    "uv.toml": "",
    "pyproject.toml": '[project]\nname = "aweigh-boundary"\nversion = "0"\n',
}
_WANTS_GIT: Final = re.compile(
    r"setuptools[-_]scm|vcs[-_]versioning|hatch[-_]vcs|versioningit|dunamai"
)


class Wheelhouse:
    """Builds the local projects of snapshots into wheels, each content once.

    Args:
        environ: The environment; builds see little of it.
        cache_dir: Where wheels are kept.
        seconds: How long one build may take.
    """

    def __init__(
        self, *, environ: Mapping[str, str], cache_dir: Path, seconds: float = 900.0
    ) -> None:
        self._uv = find_uv_bin()
        self._environ = build_environment(environ)
        self._scratch = cache_dir / "assemble"
        self._store = WheelStore(cache_dir / "wheels")
        self._seconds = seconds
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def furnish(self, request: BuildRequest, facts: BaseFacts) -> Snapshot:
        """Return the snapshot with wheels in place of all local projects.

        Build backends run on this machine, isolated as pip's and uv's are, on a copy
        of the snapshot's files. Cancelling ends them; only whole wheels are kept.

        Raises:
            NeedsEngineError: A project does not build here, or its wheel fits this
                machine and not the base.
            ChangedError: A file is not what it was when it was listed.
        """
        sources = list(local_sources(request.spec, request.snapshot))
        if not sources:
            return request.snapshot
        wheels = await self._all(sources)
        built = {}
        for source in sources:
            wheel = wheels[source.digest]
            _check(wheel.name, source, facts, request)
            built[source.place] = Member(
                path=f"{source.wheels}/{wheel.name}",
                kind="file",
                size=(await asyncio.to_thread(wheel.stat)).st_size,
                source=wheel,
                digest=Digest(wheel.parent.name),
            )
        return with_wheels(request.snapshot, built)

    async def _all(self, sources: Iterable[LocalSource]) -> dict[Digest, Path]:
        """Build what differs side by side; the first failure ends the others."""
        by_content = {source.digest: source for source in sources}
        wheels = await every(map(self._wheel, by_content.values()))
        return dict(zip(by_content, wheels, strict=True))

    async def _wheel(self, source: LocalSource) -> Path:
        key = _key(source)
        async with self._slots:
            found = await asyncio.to_thread(self._store.find, key)
            if found is not None:
                return found
            async with scratch(self._scratch) as directory:
                wheel = await self._build(source, directory)
                return await asyncio.to_thread(self._store.keep, key, wheel)

    async def _build(self, source: LocalSource, directory: Path) -> Path:
        """Build one source in a directory of its own; return the normalised wheel."""
        place = await asyncio.to_thread(_lay_out, source, directory)
        out = directory / "out"
        argv = [self._uv, "build", "--wheel", str(place), "--out-dir", str(out)]
        argv += ["--python", sys.executable, "--no-python-downloads"]
        argv += ["--no-progress", "--color", "never", "--system-certs"]
        try:
            async with asyncio.timeout(self._seconds):
                ended = await run_process(argv, environ=self._environ)
        except TimeoutError:
            told = f"it was not done within {self._seconds:g} s"
            raise _failure(source, told, directory) from None
        wheels = await asyncio.to_thread(lambda: sorted(out.glob("*.whl")))
        if ended.code or len(wheels) != 1:
            raise _failure(source, ended.output, directory)
        return await asyncio.to_thread(_normalised, wheels[0], source, directory)


def _key(source: LocalSource) -> Digest:
    """Name a wheel before it exists: by its files and by what builds it."""
    host = (f"{sys.version_info[0]}.{sys.version_info[1]}", sysconfig.get_platform())
    parts = [_FORMAT, version("uv"), *host, source.digest.hex]
    return Digest(digest_parts(parts).hex())


def _lay_out(source: LocalSource, directory: Path) -> Path:
    """Copy exactly the files that were listed; return what to build."""
    for name, text in _BOUNDARY.items():
        (directory / name).write_text(text, encoding="utf-8")
    root = directory / _NAME
    root.mkdir()
    for member in source.members:
        path = root / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        match member.kind:
            case "directory":
                path.mkdir(exist_ok=True)
            case "symlink":
                path.symlink_to(member.target)
            case "file":
                _copy(member, path)
    return root / source.members[0].path if source.is_archive else root


def _normalised(built: Path, source: LocalSource, directory: Path) -> Path:
    target = directory / "wheel" / built.name
    target.parent.mkdir()
    hosts = {str(directory), str(directory.resolve())}
    try:
        told = normalise_wheel(built, target, hosts)
    except InvalidValueError as exc:
        raise _failure(source, str(exc), directory) from exc
    if told:
        raise NeedsEngineError(
            f"the wheel of {_described(source)} contains a path of this machine, "
            f"in {told}",
            hint="build it with an engine (builder='engine'), or see why its backend "
            "writes that",
        )
    return target


def _copy(member: Member, path: Path) -> None:
    if isinstance(member.source, bytes):
        path.write_bytes(member.source)
    elif member.source is not None:
        shutil.copyfile(member.source, path)
    path.chmod(0o755 if member.executable else 0o644)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if member.digest is not None and found != member.digest.hex:
        raise ChangedError(
            f"{member.path} has other content than when it was listed",
            hint="wait until nothing writes to it, then try again",
            paths=[member.path],
        )


def _failure(source: LocalSource, output: str, directory: Path) -> NeedsEngineError:
    """Say why there is no wheel: an engine may have what is missing here."""
    said = scrubbed(output).replace(str(directory.resolve()), str(directory))
    said = said.replace(f"{directory}/", "")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    hint = "correct it, or build with an engine (builder='engine')"
    if _WANTS_GIT.search(said):
        hint = (
            "builds see no Git repository: build the wheel yourself and add it with "
            "with_wheel, or write the version down"
        )
    error = NeedsEngineError(
        f"{_described(source)} does not build on this machine: {_reason(lines)}",
        hint=hint,
    )
    error.__cause__ = BuildError(
        f"uv build failed for {_described(source)}",
        hint=hint,
        step=f"build {_described(source)}",
        log=lines[-_SHOWN_LINES:],
    )
    return error


def _reason(lines: Sequence[str]) -> str:
    """Choose the line that says most: a backend's last word, else uv's innermost."""
    told = [line for line in lines if not line.startswith(("hint:", "Building "))]
    at = next((n for n, line in enumerate(told) if line.startswith("error: ")), None)
    if at and any("build backend returned" in line for line in told[at:]):
        told = told[:at]
    return told[-1].removeprefix("cause: ")[:_LONGEST] if told else "it wrote nothing"


def _check(
    filename: str, source: LocalSource, facts: BaseFacts, request: BuildRequest
) -> None:
    """Refuse what was compiled here for here.

    Raises:
        NeedsEngineError: It was.
    """
    tags = filename.removesuffix(".whl").rpartition("-")[2].split(".")
    reason = misfit(filename, facts, request.platform)
    if not reason and all(tag.startswith("linux_") for tag in tags):
        reason = "it is linked with libraries of this machine"
    if reason:
        raise NeedsEngineError(
            f"{_described(source)} becomes {filename}, which cannot run on the base: "
            f"{reason}",
            hint="build it with an engine (builder='engine'), or add a manylinux wheel "
            "of it with with_wheel",
        )


def _described(source: LocalSource) -> str:
    name = source.members[0].path if source.is_archive else "the local project"
    return f"{name} of step {source.step}"
