"""Running the command as people do: a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aweigh.settings import environment


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as one JSON object."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs `aweigh` with caches of our own."""

    def run(*argv: str, cwd: Path | None = None, **environ: str) -> Done:
        own = {
            "AWEIGH_CACHE_DIR": str(tmp_path / "cache"),
            "AWEIGH_DATA_DIR": str(tmp_path / "data"),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "aweigh", *argv],
            cwd=cwd or tmp_path,
            env=environment() | own | environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run
