"""A timed process, and the largest of its children by the kernel's own high-water mark.

`ru_maxrss` of a child starts at what its parent had when it forked; VmHWM does not. It
only grows, so looking every 50 ms loses at most what came after the last look.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Watched", "run_watched"]

_INTERVAL: Final = 0.05
_PEAK: Final = re.compile(r"VmHWM:\s*(\d+) kB")


@dataclass(frozen=True, slots=True)
class Watched:
    """A process that ended well.

    Attributes:
        seconds: From its start to its end.
        said: What it wrote.
        child: The peak of its largest descendant, in MiB, and that one's name.
    """

    seconds: float
    said: str
    child: tuple[float, str]


def run_watched(
    command: Sequence[str],
    env: Mapping[str, str],
    folder: Path,
    interval: float = _INTERVAL,
) -> Watched:
    """Run a command in a directory, looking at its children every so many seconds.

    Raises:
        RuntimeError: It failed; the message is what it wrote.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        env=env,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peaks: dict[int, tuple[float, str]] = {}
        ended = threading.Event()
        looking = threading.Thread(
            target=_look, args=(process.pid, ended, peaks, interval)
        )
        looking.start()
        try:
            said, error = process.communicate()
            seconds = time.perf_counter() - began
        except BaseException:
            process.terminate()
            raise
        finally:
            ended.set()
            looking.join()
    if process.returncode:
        raise RuntimeError(error)
    return Watched(seconds, said, max(peaks.values(), default=(0.0, "")))


def _look(
    root: int,
    ended: threading.Event,
    peaks: dict[int, tuple[float, str]],
    interval: float,
) -> None:
    ours = b""
    while not ended.wait(interval):
        with suppress(OSError):
            ours = ours or Path(f"/proc/{root}/cmdline").read_bytes()
        for pid in _descendants(root):
            with suppress(OSError):
                place = Path(f"/proc/{pid}")
                command = place.joinpath("cmdline").read_bytes()
                match = _PEAK.search(place.joinpath("status").read_text("utf-8"))
                # Until it executes its program, a child has its parent's memory.
                if match is not None and command not in (b"", ours):
                    peaks[pid] = (int(match[1]) / 1024, _shown(command))


def _shown(command: bytes) -> str:
    program, *arguments = command.decode(errors="replace").split("\0")
    return " ".join([Path(program).name, *arguments[:3]])


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, task.joinpath("children").read_text().split()):
                yield child
                yield from _descendants(child)
