"""Child processes end with whoever started them."""

import asyncio
import sys
from pathlib import Path

import pytest

from aweigh.backends.assembler.process import run_process
from aweigh.settings import environment


async def test_a_cancelled_process_ends_with_its_children(tmp_path: Path) -> None:
    """The whole group is killed."""
    told = tmp_path / "pid"
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(told)!r}, 'w').write(f'{{child.pid}} ')\n"
        "time.sleep(60)\n"
    )
    running = asyncio.ensure_future(
        run_process([sys.executable, "-c", script], environ=environment())
    )
    while not told.exists() or not told.read_text().endswith(" "):
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    child = int(told.read_text())
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the child lives")
