"""One `ensure_image` in a process of its own: `python -m benchmarks.layers.ours WANT`.

WANT is JSON: name, base, packages, and whether to forget the image afterwards. The code
is in the directory ``app`` of the current one; everything else comes from AWEIGH_* and
UV_*. It prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from aweigh import ImageSpec, open_session
from aweigh.events import BuildStarted, BuildStepStarted
from benchmarks.measure import peak_mib

if TYPE_CHECKING:
    from aweigh.events import Event


class _Clock:
    """Notes when the build began and when it knew what layers it needs."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.planned: float | None = None

    def hear(self, event: Event, /) -> None:
        """Note an event's time."""
        now = time.perf_counter()
        if isinstance(event, BuildStarted) and self.began is None:
            self.began = now
        if isinstance(event, BuildStepStarted) and self.planned is None:
            self.planned = now

    def planning(self) -> float:
        """Return the seconds for base, cache tag and resolving; 0 without a build."""
        if self.began is None or self.planned is None:
            return 0.0
        return self.planned - self.began


async def ensure(want: dict[str, Any]) -> dict[str, Any]:
    """Ensure the image and say what happened."""
    spec = (
        ImageSpec(want["name"], base=want["base"])
        .with_packages(*want["packages"])
        .with_files("app", "/app")
    )
    clock = _Clock()
    async with open_session(listener=clock.hear) as session:
        image = await session.ensure_image(spec)
        if want["forget"]:
            await session.invalidate(image)
    return {
        "image": str(image),
        "origin": image.origin,
        "planning": clock.planning(),
    }


def main() -> None:
    """Do as the argument says."""
    said = asyncio.run(ensure(json.loads(sys.argv[1])))
    print(json.dumps({**said, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main()
