"""An environment that grows: each package costs itself, not the image.

`python examples/layers/one_package_at_a_time.py pandas scipy httpx` adds what you say.
"""

import asyncio
import os
import sys
import time

from aweigh import ImageSpec, Settings, open_session
from aweigh.events import BuildStepFinished, Event, PushProgressed

PACKAGES = ("humanize==4.13.0", "idna==3.10", "iniconfig==2.0.0", "tomli==2.2.1")


class Costs:
    """What one image cost."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.sent: dict[str, int] = {}
        self.made: list[str] = []
        self.reused = 0

    def __call__(self, event: Event, /) -> None:
        """Note what is sent and which layers are made."""
        match event:
            case PushProgressed(layer=layer, done=done):
                self.sent[layer] = done
            case BuildStepFinished(step=step, cached=False):
                self.made.append(step.removeprefix("layer "))
            case BuildStepFinished():
                self.reused += 1
            case _:
                pass


async def main(packages: tuple[str, ...]) -> None:
    """Ensure an image with the first package, then the first two, and so on."""
    spec = ImageSpec("layers-growing", base=os.environ.get("EXAMPLE_BASE"))
    settings = Settings.load(builder="assemble")
    for number, package in enumerate(packages, start=1):
        costs = Costs()
        async with open_session(settings, listener=costs) as session:
            began = time.perf_counter()
            await session.ensure_image(spec.with_packages(*packages[:number]))
            seconds = time.perf_counter() - began
        print(
            f"+ {package:20} {sum(costs.sent.values()):12,} bytes {seconds:7.2f} s  "
            f"made {', '.join(sorted(costs.made)) or 'nothing'}; reused {costs.reused}"
        )


asyncio.run(main(tuple(sys.argv[1:]) or PACKAGES))
