"""A common image, and the layers it came to: `python examples/layers/standard.py`."""

import asyncio
import os
from pathlib import Path

from aweigh import ImageSpec, Settings, open_session
from aweigh.events import BlobPushed, BuildStepFinished, Event, PushProgressed

spec = (
    ImageSpec("layers-standard", base=os.environ.get("EXAMPLE_BASE"))
    .with_packages("humanize==4.13.0", "idna==3.10")
    .with_files(Path(__file__).parent, "/app")
    .with_env(PYTHONUNBUFFERED="1")
    .with_workdir("/app")
)


class Layers:
    """Hears of every layer."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.sent: dict[str, int] = {}

    def __call__(self, event: Event, /) -> None:
        """Print a layer when it is there, and note what is sent for it."""
        match event:
            case PushProgressed(layer=layer, done=done):
                self.sent[layer] = done
            case BlobPushed(layer=layer, reused=True):
                print(f"{layer:24} was there, or in a neighbour")
            case BuildStepFinished(step=step, cached=cached, seconds=seconds):
                name = step.removeprefix("layer ")
                how = "was there" if cached else f"made in {seconds:.2f} s"
                print(f"{name:24} {self.sent.get(name, 0):9,} bytes sent, {how}")
            case _:
                pass


async def main() -> None:
    """Ensure the image without an engine and print its layers."""
    settings = Settings.load(builder="assemble")
    async with open_session(settings, listener=Layers()) as session:
        print(await session.ensure_image(spec))


asyncio.run(main())
