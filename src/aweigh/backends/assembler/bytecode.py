"""Bytecode beside the modules of a layer: the container then need not compile."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.process import run_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Compiler", "Compilers"]

_TELL: Final = (
    "import platform, sys; v = sys.version_info;"
    "print(v.major, v.minor, sys.implementation.cache_tag, platform.python_version())"
)
_MOST_WORKERS: Final = 4


@dataclass(frozen=True, slots=True)
class Compiler:
    """An interpreter that compiles for one ``X.Y``.

    Attributes:
        program: Its path on this machine.
        tag: Exactly which one, such as ``cpython-311-3.11.2``.
    """

    program: str
    tag: str

    async def compile(self, stage: Path, names: Sequence[str], final: str) -> None:
        """Compile what lies in a stage, for the place where it will be.

        The files are valid whatever the times of their sources are (PEP 552). What does
        not compile stays as it is: it may be a template, or for another Python.

        Args:
            stage: The directory.
            names: Which of its entries.
            final: The directory they will be in, in the image.
        """
        if not names:
            return
        workers = str(min(_MOST_WORKERS, os.cpu_count() or 1))
        argv = [self.program, "-I", "-m", "compileall", "-qq", "-j", workers]
        argv += ["--invalidation-mode", "unchecked-hash"]
        argv += ["-s", str(stage), "-p", final]
        await run_process(
            [*argv, "--", *(str(stage / name) for name in names)], environ=_CLEAN
        )


# Nothing of ours may show in what it writes.
_CLEAN: Final = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}


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
        program = sys.executable
        if ours != python or not program:
            argv = [self._uv, "python", "find", "--no-python-downloads", "--no-config"]
            found = await run_process(
                [*argv, "--no-project", python], environ=self._environ
            )
            program = found.output.strip()
            if found.code:
                return None
        told = await run_process([program, "-I", "-c", _TELL], environ=_CLEAN)
        major, minor, tag, version = told.output.split() if not told.code else [""] * 4
        if f"{major}.{minor}" != python:
            return None
        return Compiler(program, f"{tag}-{version}")
