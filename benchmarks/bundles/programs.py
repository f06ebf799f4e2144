"""The system's own programs: `git status`, and GNU tar piped into zstd.

Their time includes starting them. Their memory comes from a second run that is not
timed and looked at every 2 ms; it is that of the largest process.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bundles.stopwatch import cpu_seconds
from benchmarks.measure import environ
from benchmarks.watched import run_watched

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["prepare", "run"]

_LEVELS: Final = {"tar1": "-1", "tar3": "-3"}
_SETTINGS: Final = (
    *("-c", "user.name=bench", "-c", "user.email=bench@localhost"),
    *("-c", "core.compression=0", "-c", "core.bigFileThreshold=1m"),
)


def _git(root: Path, state: Path, *arguments: str) -> list[str]:
    place = [f"--git-dir={state / 'git'}", f"--work-tree={root}"]
    return ["git", *place, *arguments]


def prepare(side: str, root: Path, state: Path) -> None:
    """Let git know the tree, in a repository outside of it that nobody else sees."""
    if side != "git":
        return
    steps = [["status", "--porcelain"]]  # writes what it learns into the index
    if not (state / "git" / "HEAD").exists():
        steps = [
            ["init", "-q"],
            [*_SETTINGS, "add", "-A"],
            [*_SETTINGS, "commit", "-qm", "all"],
            *steps,
        ]
    for arguments in steps:
        command = _git(root, state, *arguments)
        subprocess.run(command, cwd=root, check=True, capture_output=True)


def run(side: str, root: Path, state: Path, *, memory: bool) -> dict[str, Any]:
    """Run a program once, and once more when its memory is wanted.

    Raises:
        RuntimeError: It failed; the message is what it wrote.
    """
    output = state / "bundle.tar.zst"
    if side == "git":
        commands = [_git(root, state, "status", "--porcelain")]
    else:
        commands = [
            ["tar", "-C", str(root), "-cf", "-", "."],
            ["zstd", "-q", "-f", "-T0", _LEVELS[side], "-o", str(output)],
        ]
    figures: dict[str, Any] = _timed(commands)
    if side != "git":
        figures["sent_bytes"] = output.stat().st_size
    if memory:
        piped = " | ".join(map(shlex.join, commands))
        # With something after it, the shell stays, and the program is its child.
        watched = run_watched(["sh", "-c", f"{piped}; :"], environ(), state, 0.002)
        if watched.child[0]:  # else it ended before it was looked at
            figures["peak_mib"] = watched.child[0]
    return figures


def _timed(commands: list[list[str]]) -> dict[str, float]:
    used, began = cpu_seconds(), time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    for number, command in enumerate(commands):
        before = processes[-1].stdout if processes else subprocess.DEVNULL
        is_last = number == len(commands) - 1
        after = subprocess.DEVNULL if is_last else subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=before, stdout=after))
        if processes[1:] and (pipe := processes[-2].stdout) is not None:
            pipe.close()
    codes = [process.wait() for process in processes]
    seconds = time.perf_counter() - began
    if any(codes):
        raise RuntimeError(f"{shlex.join(commands[0])}: {codes}")
    return {"seconds": seconds, "cpu_seconds": cpu_seconds() - used}
