"""What a light package costs on top of heavy ones.

`python examples/layers/heavy.py` takes torch, numpy and pandas, then adds httpx;
`python examples/layers/heavy.py numpy polars + rich` takes what you say. The torch of
PyPI brings CUDA along; EXAMPLE_FIND_LINKS may name a page or directory that has
another one.
"""

import asyncio
import os
import sys
import time

from aweigh import ImageSpec, Settings, open_session
from aweigh.events import Event, PushProgressed

HEAVY = ("torch==2.13.0", "numpy==2.4.6", "pandas==3.1.1")
LIGHT = ("httpx==0.28.1",)


class Sent:
    """Adds up what goes to the registry."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.by_layer: dict[str, int] = {}

    def __call__(self, event: Event, /) -> None:
        """Note how far a layer is."""
        if isinstance(event, PushProgressed):
            self.by_layer[event.layer] = event.done

    def take(self) -> int:
        """Return the bytes since the last call."""
        size = sum(self.by_layer.values())
        self.by_layer.clear()
        return size


async def main(heavy: tuple[str, ...], light: tuple[str, ...]) -> None:
    """Ensure the heavy image, then the one with the light packages."""
    base = os.environ.get("EXAMPLE_BASE")
    links = os.environ.get("EXAMPLE_FIND_LINKS", "").split()
    sent = Sent()
    settings = Settings.load(builder="assemble")
    async with open_session(settings, listener=sent) as session:
        for packages in (heavy, heavy + light):
            spec = ImageSpec("layers-heavy", base=base).with_packages(
                *packages, find_links=links
            )
            began = time.perf_counter()
            image = await session.ensure_image(spec)
            seconds = time.perf_counter() - began
            print(f"{image.origin} {' '.join(packages)}")
            print(f"  {sent.take():,} bytes sent, {seconds:.2f} s, {image}")


first, _, second = " ".join(sys.argv[1:]).partition("+")
asyncio.run(main(tuple(first.split()) or HEAVY, tuple(second.split()) or LIGHT))
