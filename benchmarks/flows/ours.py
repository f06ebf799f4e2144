"""Our side: a process that keeps a session, and runs a task for each line it is told.

    python -m benchmarks.flows.ours CACHE_DIR DATA_DIR REGISTRY ENGINE BASE

A line on its input is an object with the directory and the packages; its answer is the
seconds from calling `run` to the program's first line, and that line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh import ImageSpec, Settings, open_session

if TYPE_CHECKING:
    from aweigh import Session
    from aweigh.flow.target import LogLine


async def once(session: Session, spec: ImageSpec, directory: str) -> dict[str, object]:
    """Run the program and say when its first line came."""
    first: list[tuple[float, str]] = []

    def on_log(line: LogLine) -> None:
        first.append((time.perf_counter(), line.text))

    began = time.perf_counter()
    result = await session.run(
        spec, directory, ["python", "-u", "main.py"], on_log=on_log
    )
    assert result.exit_code == 0
    return {"seconds": first[0][0] - began, "line": first[0][1]}


async def main(cache: str, data: str, registry: str, engine: str, base: str) -> None:
    """Answer until the input ends."""
    settings = Settings(
        registry=registry, engine=engine, cache_dir=Path(cache), data_dir=Path(data)
    )
    async with open_session(settings) as session:
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            spec = ImageSpec("bench-flow", base=base).with_packages(*asked["packages"])
            answer = await once(session, spec, asked["directory"])
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
