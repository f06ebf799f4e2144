"""A flow that runs tasks to completion: `python examples/run_flow.py 1000 2000`."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiodocker

from aweigh import ImageSpec, Session, Settings, open_session

CODE = Path(__file__).parent / "task"
spec = ImageSpec("run-flow", base=os.environ.get("EXAMPLE_BASE")).with_packages(
    "humanize==4.13.0"
)


async def run(session: Session, docker: aiodocker.Docker, *argv: str) -> str:
    """Run one task in the pinned image with the fetched code; return its output."""
    image, bundle = await asyncio.gather(
        session.ensure_image(spec), session.upload_bundle(CODE)
    )
    if image.location == "registry":
        try:
            await docker.images.pull(str(image))
        except aiodocker.DockerError:
            # Somebody deleted it behind the cache: ensure it once more.
            await session.invalidate(image)
            image = await session.ensure_image(spec)
            await docker.images.pull(str(image))
    with tempfile.TemporaryDirectory() as folder:
        code = await session.fetch_bundle(bundle.uri, f"{folder}/code")
        config: dict[str, Any] = {
            "Image": str(image),
            "Cmd": ["python", "/app/job.py", *argv],
            "HostConfig": {"Binds": [f"{code}:/app:ro"], "NetworkMode": "none"},
        }
        container = await docker.containers.create(config)
        try:
            await container.start()
            await container.wait()
            return "".join(await container.log(stdout=True, stderr=True))
        finally:
            await container.delete(force=True)


async def main() -> None:
    """Run a task for each argument, all at once."""
    settings = Settings.load()
    async with (
        open_session(settings) as session,
        aiodocker.Docker(url=settings.engine) as docker,
    ):
        tasks = (run(session, docker, number) for number in sys.argv[1:])
        print(*await asyncio.gather(*tasks), sep="", end="")


asyncio.run(main())
