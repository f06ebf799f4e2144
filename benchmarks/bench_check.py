"""Our registry check beside `skopeo inspect --raw`, on the same registry and image.

Run with the services of `.ci/setup`: python -m benchmarks.bench_check [ROUNDS]
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from aweigh.backends.credentials import DockerCredentials
from aweigh.backends.registry import RegistryChecker, open_registry
from aweigh.events import silent
from aweigh.image.checker import Present
from aweigh.oci import Platform, Reference
from benchmarks.measure import alternate, environ, machine, process_seconds, table
from tests.services import find_services

_CHECK = """
import asyncio, sys
from pathlib import Path
from aweigh.backends.credentials import DockerCredentials
from aweigh.backends.registry import RegistryChecker, open_registry
from aweigh.events import silent
from aweigh.image.checker import Present
from aweigh.oci import Platform, Reference

async def main():
    credentials = DockerCredentials({}, Path("/nonexistent"), listener=silent)
    async with open_registry(credentials, listener=silent) as registry:
        verdict = await RegistryChecker(registry).check(
            Reference.parse(sys.argv[1]), frozenset({Platform.host()})
        )
        assert isinstance(verdict, Present), verdict

asyncio.run(main())
"""


async def in_process(image: str, rounds: int) -> dict[str, list[float]]:
    """Time checks through one open client: a new question each time, no cache."""
    credentials = DockerCredentials({}, Path("/nonexistent"), listener=silent)
    platforms = frozenset({Platform.host()})
    reference = Reference.parse(image)
    seconds = []
    async with open_registry(credentials, listener=silent) as registry:
        checker = RegistryChecker(registry)
        for _ in range(rounds * 10):
            started = time.perf_counter()
            verdict = await checker.check(reference, platforms)
            seconds.append(time.perf_counter() - started)
            assert isinstance(verdict, Present), verdict
    return {"aweigh, open client": seconds[10:]}


def main(rounds: int) -> None:
    """Print both tables."""
    services = find_services()
    if services is None:
        sys.exit("the services are not running: sudo .ci/setup")
    image = services.base
    env = environ()
    skopeo = ["skopeo", "inspect", "--raw", "--tls-verify=false"]
    seconds = alternate(
        {
            "skopeo inspect --raw": lambda: process_seconds(
                [*skopeo, f"docker://{image}"], env
            ),
            "aweigh, new process": lambda: process_seconds(
                [sys.executable, "-c", _CHECK, image], env
            ),
            "python -c pass": lambda: process_seconds(
                [sys.executable, "-c", "pass"], env
            ),
        },
        rounds,
    )
    seconds |= asyncio.run(in_process(image, rounds))
    print(f"{machine()}; {rounds} rounds\n")
    print("\n".join(table("Registry check", seconds, "skopeo inspect --raw")))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
