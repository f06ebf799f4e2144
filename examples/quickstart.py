"""Image and code of a task, both made to exist."""

import asyncio
import os
from pathlib import Path

from aweigh import ImageSpec, prepare

spec = ImageSpec("quickstart", base=os.environ.get("EXAMPLE_BASE")).with_packages(
    "humanize==4.13.0"
)


async def main() -> None:
    """Prepare twice: the second time everything is recalled."""
    for _ in range(2):
        ready = await prepare(spec, Path(__file__).parent / "task")
        print(f"image  {ready.image.origin:8} {ready.image}")
        print(f"bundle {ready.bundle.origin:8} {ready.bundle}")
        print(f"ready in {ready.seconds * 1000:.1f} ms")


asyncio.run(main())
