"""Bytecode beside the modules of a layer: the container then need not compile."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Member
from aweigh.backends.assembler.bytecode.compiling import CLEAN, Compiled, Job, Workers
from aweigh.backends.assembler.process import run_process
from aweigh.backends.assembler.wheels.keep import Kept
from aweigh.memory import digest_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from aweigh.backends.assembler.wheels.installed import Installed
    from aweigh.backends.assembler.wheels.keep import Keep
    from aweigh.image.lock import LockedWheel

__all__ = ["Bytecode", "Compiler", "Compilers"]

_FORMAT: Final = "bytecode-1"
_TELL: Final = (
    "import platform, sys; v = sys.version_info;"
    "print(v.major, v.minor, sys.implementation.cache_tag, platform.python_version())"
)
# Only who runs a package's own tests imports these, and they are half of some packages.
# Modules that tests share are compiled: some packages import them themselves.
_TESTS: Final = re.compile(r"(?:.*/)?tests?/(?:.*/)?(?:test_[^/]*|conftest)\.py")


@dataclass(frozen=True, slots=True)
class Compiler:
    """An interpreter that compiles for one ``X.Y``.

    Attributes:
        program: Its path on this machine.
        tag: Exactly which one, such as ``cpython-311-3.11.2``.
    """

    program: str
    tag: str


class Bytecode:
    """Compiles the modules of wheels, each wheel once on this machine.

    The result depends on the wheel, the interpreter and the final place, so it is the
    same wherever the wheel was unpacked. It is valid whatever the times of the sources
    are (PEP 552).

    Args:
        compiler: Who compiles.
        keep: Where it is kept.
        final: The directory the modules will be in, from the image's root.
    """

    def __init__(self, compiler: Compiler, keep: Keep, final: str) -> None:
        self._keep = keep
        self._final = final
        self._tag = compiler.tag
        self._workers = Workers(compiler.program)

    async def members(
        self, staged: Iterable[Member], installed: Sequence[Installed], directory: Path
    ) -> list[Member]:
        """Return the bytecode of what was staged.

        Cancelling ends the interpreters; what was compiled is in the directory or kept.

        Args:
            staged: All files of the layer.
            installed: What its distributions say they consist of; the last one to
                name a path has written it.
            directory: An empty place to compile into.

        Raises:
            OSError: No interpreter can be started, or the disk is full.
        """
        modules = self._modules(staged)
        owners = {path: one for one in installed for path in one.rows}
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._of(one, modules, owners, directory))
                for one in installed
            ]
            stray = {path: one for path, one in modules.items() if path not in owners}
            rest = group.create_task(self._compile(stray, directory / "stray"))
        found = [one for task in tasks for one in task.result()]
        found += [kept for kept, _ in rest.result()]
        return [self._member(one) for one in found]

    def forget(self, wheels: Iterable[LockedWheel]) -> None:
        """Drop what is kept of wheels, for it may be damaged; blocks on the disk."""
        for wheel in wheels:
            self._keep.drop(self._key(wheel))

    def _modules(self, staged: Iterable[Member]) -> dict[str, Member]:
        """Return the modules by path from where they will be imported."""
        start = f"{self._final}/"
        return {
            member.path.removeprefix(start): member
            for member in staged
            if member.path.startswith(start)
            and member.path.endswith(".py")
            and not _TESTS.fullmatch(member.path.removeprefix(start))
        }

    async def _of(
        self,
        one: Installed,
        modules: Mapping[str, Member],
        owners: Mapping[str, Installed],
        directory: Path,
    ) -> list[Kept]:
        key = self._key(one.wheel)
        kept = await asyncio.to_thread(self._keep.read, key)
        if kept is not None:
            return [file for file in kept if owners.get(file.name) is one]
        every = [path for path in one.rows if path in modules]
        own = {path: modules[path] for path in every if owners[path] is one}
        place = directory / one.wheel.digest.hex
        found = await self._compile(own, place)
        # Where another wheel has the last word, or a file is not what the wheel says,
        # this is no statement about the wheel.
        whole = len(own) == len(every) and all(
            answer.source == one.rows[file.name].digest for file, answer in found
        )
        files = [file for file, _ in found]
        if not whole or not files:
            return files
        rows = [(file.name, file.size, file.digest) for file in files]
        moved = await asyncio.to_thread(self._keep.add, key, place, rows)
        return [
            Kept(file.name, moved / file.path.name, file.size, file.digest)
            for file in files
        ]

    async def _compile(
        self, modules: Mapping[str, Member], place: Path
    ) -> list[tuple[Kept, Compiled]]:
        """Compile into files whose names are consecutive numbers."""
        if not modules:
            return []
        await asyncio.to_thread(place.mkdir, parents=True)
        jobs = [
            Job(member.source, place / f"{number}.new", f"/{member.path}", member.size)
            for number, member in enumerate(modules.values())
            if not isinstance(member.source, bytes | None)
        ]
        answers = await self._workers.compile(jobs)
        return await asyncio.to_thread(_numbered, modules, jobs, answers)

    def _member(self, file: Kept) -> Member:
        folder, slash, name = file.name.rpartition("/")
        cached = f"{name.removesuffix('.py')}.{self._tag.rpartition('-')[0]}.pyc"
        return Member(
            path=f"{self._final}/{folder}{slash}__pycache__/{cached}",
            kind="file",
            size=file.size,
            source=file.path,
            digest=file.digest,
        )

    def _key(self, wheel: LockedWheel) -> str:
        parts = (_FORMAT, wheel.digest.hex, self._tag, self._final)
        return digest_parts(parts).hex()


def _numbered(
    modules: Iterable[str], jobs: Iterable[Job], answers: Iterable[Compiled | None]
) -> list[tuple[Kept, Compiled]]:
    found: list[tuple[Kept, Compiled]] = []
    for path, job, answer in zip(modules, jobs, answers, strict=True):
        if answer is None:
            job.target.unlink(missing_ok=True)
            continue
        target = job.target.with_name(str(len(found)))
        job.target.rename(target)
        found.append((Kept(path, target, answer.size, answer.digest), answer))
    return found


class Compilers:
    """Finds interpreters on this machine; downloads none.

    Args:
        uv: The path of uv, which knows where interpreters are.
        environ: The environment it runs in.
    """

    def __init__(self, uv: str, environ: dict[str, str]) -> None:
        self._uv = uv
        self._environ = environ
        self._found: dict[str, Compiler | None] = {}
        self._lock = asyncio.Lock()

    async def find(self, python: str) -> Compiler | None:
        """Return an interpreter of this ``X.Y``, or None when there is none."""
        async with self._lock:
            if python not in self._found:
                self._found[python] = await self._look(python)
        return self._found[python]

    async def _look(self, python: str) -> Compiler | None:
        ours = f"{sys.version_info.major}.{sys.version_info.minor}"
        if ours == python and sys.executable:
            version = sys.version_info
            if version.releaselevel == "final":
                # Starting it to be told this takes longer than planning an image.
                tag = f"{sys.implementation.cache_tag}-{ours}.{version.micro}"
                return Compiler(sys.executable, tag)
            program = sys.executable
        else:
            argv = [self._uv, "python", "find", "--no-python-downloads", "--no-config"]
            found = await run_process(
                [*argv, "--no-project", python], environ=self._environ
            )
            program = found.output.strip()
            if found.code:
                return None
        told = await run_process([program, "-I", "-c", _TELL], environ=CLEAN)
        major, minor, tag, exact = told.output.split() if not told.code else [""] * 4
        if f"{major}.{minor}" != python:
            return None
        return Compiler(program, f"{tag}-{exact}")
