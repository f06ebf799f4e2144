"""The same task, here and in a container: `python examples/own_target/main.py`."""

import asyncio
import os
import sys
from pathlib import Path

from local_target import LocalTarget  # type: ignore[import-not-found] # beside us

from aweigh import ImageSpec, Settings, open_session
from aweigh.flow.target import LogLine

CODE = Path(__file__).parent / "src"
spec = ImageSpec("own-target", base=os.environ.get("EXAMPLE_BASE"))


def show(line: LogLine) -> None:
    """Print what the program writes, where it wrote it."""
    print(line.text, file=sys.stdout if line.stream == "stdout" else sys.stderr)


async def main() -> None:
    """Run on a target of our own, then on the engine of this machine."""
    settings = Settings.load()
    command = ["python3", "where.py", *sys.argv[1:]]
    async with open_session(settings) as session:
        for target in (LocalTarget(settings), "docker"):
            result = await session.run(spec, CODE, command, target=target, on_log=show)
            print("exit code", result.exit_code)


asyncio.run(main())
