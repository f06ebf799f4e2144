"""Prefect's side: a deployment run by a process worker, from the code's own directory.

Runs in Prefect's own environment: `python prefect_side.py POOL`, and is told and
answers like ours. The flow writes its line into a file beside its code, which is
watched.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from prefect import Flow
from prefect.deployments import arun_deployment

_TICK = 0.005


def first_line(answer: Path) -> str:
    """Wait for the file, and return what is in it."""
    while not (said := answer.read_text() if answer.exists() else ""):
        time.sleep(_TICK)
    return said


async def main(pool: str) -> None:
    """Answer until the input ends."""
    deployment = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        folder = Path(json.loads(line)["directory"])
        answer = folder / "answer.txt"
        answer.unlink(missing_ok=True)
        if deployment is None:
            flow = await Flow.afrom_source(str(folder), "flow.py:main")
            deployment = await flow.adeploy(
                "bench",
                work_pool_name=pool,
                build=False,
                push=False,
                print_next_steps=False,
                ignore_warnings=True,
            )
        began = time.perf_counter()
        await arun_deployment(deployment, timeout=0)
        said = await asyncio.to_thread(first_line, answer)
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "line": said}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
