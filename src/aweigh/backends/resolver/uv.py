"""uv as a subprocess: one command at a time, killed with all it started."""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uv import find_uv_bin

from aweigh.concurrency.programs import end, started
from aweigh.errors import ResolveError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["SUPPORTED", "Finished", "Uv"]

SUPPORTED: Final = "0.13"
"""The minor version whose output formats are known; they are part of layer keys."""

_VERSION = re.compile(r"uv ((\d+\.\d+)\.\S+)")
# What would aim uv at another project or interpreter, contradict an option of ours,
# take files that nobody else has, or write more than the reason of a failure.
_IGNORED = frozenset({
    "CONDA_PREFIX",
    "PYTHONHOME",
    "PYTHONPATH",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "UV_BREAK_SYSTEM_PACKAGES",
    "UV_FIND_LINKS",
    "UV_FROZEN",
    "UV_LOCKED",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_PYTHON_DOWNLOADS",
    "UV_PYTHON_PREFERENCE",
    "UV_SYSTEM_PYTHON",
    "UV_TORCH_BACKEND",
    "UV_WORKING_DIR",
    "VIRTUAL_ENV",
})  # fmt: skip
# Whoever waits for a password here would wait for ever.
_ADDED = {"GIT_TERMINAL_PROMPT": "0"}


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ended by itself.

    Attributes:
        code: Its exit code; 0 is success.
        said: What it wrote for people, unscrubbed: never show it as it is.
    """

    code: int
    said: str


class Uv:
    """The uv that aweigh depends on.

    Args:
        environ: Its environment: credentials, proxies, certificates, its own cache.
        binary: Another uv than the installed one.
    """

    def __init__(
        self, environ: Mapping[str, str], *, binary: str | None = None
    ) -> None:
        self._environ = {
            name: value for name, value in environ.items() if name not in _IGNORED
        } | _ADDED
        self._binary = binary
        self._version = ""

    async def version(self) -> str:
        """Return its version; asked once.

        Raises:
            ResolveError: It is missing, or of a minor version that is not known.
        """
        if not self._version:
            process = await self._start(["--version"], None)
            said, _ = await _output(process)
            match = _VERSION.match(said)
            if match is None or match[2] != SUPPORTED:
                found = match[1] if match else "something else"
                raise ResolveError(
                    f"uv {SUPPORTED} is needed to pin packages, but this is {found}",
                    hint=f"install it beside aweigh: uv=={SUPPORTED}.*",
                )
            self._version = match[1]
        return self._version

    async def run(self, arguments: Sequence[str], directory: Path) -> Finished:
        """Run a command in a directory.

        Cancelling kills it, with everything it started, at once.

        Raises:
            ResolveError: uv is missing or of another minor version.
        """
        await self.version()
        # The interpreter only answers questions of uv's; none is ever downloaded.
        python = ["--python", sys.executable, "--no-python-downloads"]
        quiet = ["--no-progress", "--color", "never", "--system-certs"]
        process = await self._start([*arguments, *python, *quiet], directory)
        _, said = await _output(process)
        return Finished(process.returncode or 0, said)

    async def _start(
        self, arguments: Sequence[str], directory: Path | None
    ) -> asyncio.subprocess.Process:
        try:
            if self._binary is None:
                self._binary = await asyncio.to_thread(find_uv_bin)
            return await started(
                asyncio.create_subprocess_exec(
                    self._binary,
                    *arguments,
                    cwd=directory,
                    env=self._environ,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,
                )
            )
        except OSError as exc:
            raise ResolveError(
                f"uv does not run: {exc.strerror or exc}",
                hint="install aweigh again with its dependencies",
            ) from exc


async def _output(process: asyncio.subprocess.Process) -> tuple[str, str]:
    try:
        out, err = await process.communicate()
    finally:
        await end(process)
        # Nothing else closes the pipes of a program whose children live on.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
    return out.decode(errors="replace"), err.decode(errors="replace")
