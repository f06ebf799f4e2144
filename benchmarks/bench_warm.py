"""A warm `ensure_image`: a whole process, and one call in a running process.

Run with the services of `.ci/setup`: python -m benchmarks.bench_warm [ROUNDS]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time

from aweigh import ImageSpec, Settings, ensure_image, open_session
from benchmarks.measure import alternate, environ, machine, process_seconds, table
from tests.services import Services, find_services

_WARM = """
import asyncio, sys
from aweigh import ImageSpec, ensure_image
spec = ImageSpec("bench/warm", base=sys.argv[1]).with_env(BENCH="warm")
image = asyncio.run(ensure_image(spec))
assert image.origin == "recalled", image
"""


def spec_of(services: Services) -> ImageSpec:
    """Return the spec that `_WARM` ensures too."""
    return ImageSpec("bench/warm", base=services.base).with_env(BENCH="warm")


async def in_process(services: Services, settings: Settings) -> list[str]:
    """Time single and concurrent calls in one session."""
    spec = spec_of(services)
    seconds = []
    async with open_session(settings) as session:
        await session.ensure_image(spec)
        for _ in range(2000):
            started = time.perf_counter()
            await session.ensure_image(spec)
            seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    await asyncio.gather(*(ensure_image(spec, settings=settings) for _ in range(1000)))
    crowd = time.perf_counter() - started
    cuts = statistics.quantiles(seconds[100:], n=100)
    return [
        "### Warm call in a running process",
        "",
        "| | µs |",
        "|---|---|",
        f"| one call, p50 | {cuts[49] * 1e6:.0f} |",
        f"| one call, p99 | {cuts[98] * 1e6:.0f} |",
        f"| each of 1,000 at once | {crowd * 1e3:.0f} |",
        "",
    ]


def main(rounds: int) -> None:
    """Build the image once, then print both tables."""
    services = find_services()
    if services is None:
        sys.exit("the services are not running: sudo .ci/setup")
    with tempfile.TemporaryDirectory() as cache:
        env = environ(
            AWEIGH_CACHE_DIR=cache,
            AWEIGH_REGISTRY=services.registry,
            AWEIGH_ENGINE=services.engine,
        )
        settings = Settings.load(environ=env)
        asyncio.run(ensure_image(spec_of(services), settings=settings))
        python = sys.executable
        seconds = alternate(
            {
                "python -c pass": lambda: process_seconds([python, "-c", "pass"], env),
                "python -c 'import asyncio, aiosqlite'": lambda: process_seconds(
                    [python, "-c", "import asyncio, aiosqlite"], env
                ),
                "aweigh: warm ensure_image": lambda: process_seconds(
                    [python, "-c", _WARM, services.base], env
                ),
            },
            rounds,
        )
        print(f"{machine()}; {rounds} rounds\n")
        print("\n".join(table("Warm process", seconds, "python -c pass")))
        print("\n".join(asyncio.run(in_process(services, settings))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
