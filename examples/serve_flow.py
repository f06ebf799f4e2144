"""A loop that serves what you edit: `python examples/serve_flow.py DIR 8000`."""

import asyncio
import os
import sys

from aweigh import ImageSpec, serve

spec = ImageSpec("serve-flow", base=os.environ.get("EXAMPLE_BASE"))


async def main(folder: str, port: str) -> None:
    """Serve until Ctrl-C."""
    async with serve(spec, folder, ["python3", "web.py"], port=int(port)) as dev:
        print(f"serving {dev.url}", flush=True)
        await dev.wait()


asyncio.run(main(*sys.argv[1:]))
