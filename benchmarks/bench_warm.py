"""A warm `ensure_image`: a whole process, and calls in a running process.

Run with the services of `.ci/setup`: python -m benchmarks.bench_warm [ROUNDS]. Flyte's
own cache read is measured when bench_bundle has installed it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aweigh import ImageSpec, Session, Settings, ensure_image, open_session
from aweigh.testing import FaultProxy
from aweigh.testing.proxy_faults import Delay
from benchmarks.measure import alternate, environ, machine, process_seconds, table
from tests.services import Services, find_services

_WARM = """
import asyncio, sys
from aweigh import ImageSpec, ensure_image
spec = ImageSpec("bench/warm", base=sys.argv[1]).with_env(BENCH="warm")
image = asyncio.run(ensure_image(spec))
assert image.origin == "recalled", image
"""
_FLYTE_ENV = Path(__file__).parent / ".envs" / "flyte"
_FLYTE = """
import asyncio, json, time, flyte
flyte.init(root_dir=".")
from flyte._internal.imagebuild import image_builder as builder
builder._write_image_cache("r.example/x", "t", ("linux/amd64",), "r.example/x:t")
check = builder.PersistentCacheImageChecker.image_exists
async def main(count):
    began = time.perf_counter()
    for _ in range(count):
        assert await check("r.example/x", "t", ("linux/amd64",))
    print(json.dumps((time.perf_counter() - began) / count))
asyncio.run(main(5000))
"""


def spec_of(services: Services) -> ImageSpec:
    """Return the spec that `_WARM` ensures too."""
    return ImageSpec("bench/warm", base=services.base).with_env(BENCH="warm")


async def largest_gap(stop: asyncio.Event) -> float:
    """Return the longest time that a 1 ms ticker had to wait, in seconds."""
    worst = 0.0
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        worst = max(worst, time.perf_counter() - began - 0.001)
    return worst


async def one_by_one(session: Session, spec: ImageSpec, count: int) -> list[float]:
    """Time calls one after the other."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        await session.ensure_image(spec)
        seconds.append(time.perf_counter() - began)
    return seconds


def row(name: str, seconds: list[float]) -> str:
    """Return a line with p50, p99 and calls per second, the first calls left out."""
    warm = seconds[len(seconds) // 20 :]
    cuts = statistics.quantiles(warm, n=100)
    rate = 1 / statistics.mean(warm)
    return f"| {name} | {cuts[49] * 1e6:.0f} | {cuts[98] * 1e6:.0f} | {rate:.0f} |"


async def from_the_database(spec: ImageSpec, settings: Settings) -> list[float]:
    """Time the first call of sessions: nothing is in memory yet."""
    seconds = []
    for _ in range(200):
        async with open_session(settings) as session:
            began = time.perf_counter()
            await session.ensure_image(spec)
            seconds.append(time.perf_counter() - began)
    return seconds


async def stale(services: Services, settings: Settings) -> list[float]:
    """Time calls that ask a registry 50 ms away whether the image is still there."""
    async with FaultProxy(services.registry) as proxy:
        far = dataclasses.replace(settings, registry=proxy.address, image_fresh_for=0)
        spec = spec_of(services)
        async with open_session(far) as session:
            await session.ensure_image(spec)
            proxy.always(Delay(0.05))
            return await one_by_one(session, spec, 40)


async def crowd(spec: ImageSpec, settings: Settings) -> str:
    """Time 10,000 module-level calls at once, and the loop beside them."""
    stop = asyncio.Event()
    ticker = asyncio.create_task(largest_gap(stop))
    began = time.perf_counter()
    calls = (ensure_image(spec, settings=settings) for _ in range(10_000))
    await asyncio.gather(*calls)
    seconds = time.perf_counter() - began
    stop.set()
    gap = await ticker
    return (
        f"10,000 calls at once: {seconds:.2f} s, {10_000 / seconds:.0f} a second, "
        f"largest loop gap {gap * 1000:.0f} ms"
    )


async def in_process(services: Services, settings: Settings) -> list[str]:
    """Time the tiers of a running process."""
    spec = spec_of(services)
    async with open_session(settings) as session:
        hot = await one_by_one(session, spec, 5000)
    lines = [
        "### Warm calls in a running process",
        "",
        "| answered from | p50 µs | p99 µs | calls per second |",
        "|---|---|---|---|",
        row("memory", hot),
        row(
            "the database (first call of a session)",
            await from_the_database(spec, settings),
        ),
        row("the registry, 50 ms away (stale)", await stale(services, settings)),
    ]
    flyte = flyte_read()
    if flyte is not None:
        lines.append(
            "| Flyte's own cache read, of a tag that is known already "
            f"| {flyte * 1e6:.0f} | | {1 / flyte:.0f} |"
        )
    return [*lines, "", await crowd(spec, settings), ""]


def flyte_read() -> float | None:
    """Return the mean seconds of a read of Flyte's persistent image cache."""
    python = _FLYTE_ENV / "bin" / "python"
    if not python.exists():
        return None
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python), "-c", _FLYTE],
            env=environ(HOME=home),
            cwd=home,
            check=True,
            capture_output=True,
            text=True,
        )
    mean: float = json.loads(done.stdout.splitlines()[-1])
    return mean


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
