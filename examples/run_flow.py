"""A flow that runs tasks to completion: `python examples/run_flow.py 1000 2000`."""

import asyncio
import os
import sys
from pathlib import Path

from aweigh import ImageSpec, Session, open_session

CODE = Path(__file__).parent / "task"
spec = ImageSpec("run-flow", base=os.environ.get("EXAMPLE_BASE")).with_packages(
    "humanize==4.13.0"
)


async def run(session: Session, number: str) -> list[str]:
    """Run one task and return what it wrote."""
    lines: list[str] = []
    command = ["python", "job.py", number]
    result = await session.run(
        spec, CODE, command, on_log=lambda line: lines.append(line.text)
    )
    return lines if result.exit_code == 0 else [f"failed: {result.exit_code}", *lines]


async def main() -> None:
    """Run a task for each argument, all at once: the image is made once."""
    async with open_session() as session:
        for lines in await asyncio.gather(*(run(session, one) for one in sys.argv[1:])):
            print(*lines, sep="\n")


asyncio.run(main())
