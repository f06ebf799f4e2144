"""A loop that serves what you edit: `python examples/serve_flow.py DIR 8000`."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiodocker

from aweigh import ImageSpec, Session, Settings, open_session

spec = ImageSpec("serve-flow", base=os.environ.get("EXAMPLE_BASE"))


@asynccontextmanager
async def serving(
    docker: aiodocker.Docker, image: str, code: Path, port: str
) -> AsyncIterator[None]:
    """Run the code's web.py until the block is left."""
    config: dict[str, Any] = {
        "Image": image,
        "Cmd": ["python3", "/app/web.py"],
        "Env": [f"PORT={port}"],
        "HostConfig": {"Binds": [f"{code}:/app:ro"], "NetworkMode": "host"},
    }
    container = await docker.containers.run(config)
    try:
        yield
    finally:
        await container.delete(force=True)


async def serve(
    session: Session, docker: aiodocker.Docker, folder: str, port: str
) -> None:
    """Serve the directory; whenever it changes, serve what it is now."""
    while True:
        ready = await session.prepare(spec, folder)
        if ready.image.location == "registry":
            await docker.images.pull(str(ready.image))
        with tempfile.TemporaryDirectory() as work:
            code = await session.fetch_bundle(ready.bundle.uri, f"{work}/code")
            async with serving(docker, str(ready.image), code, port):
                print(f"serving {ready.bundle.digest} on port {port}", flush=True)
                while str(await session.upload_bundle(folder)) == str(ready.bundle):
                    await asyncio.sleep(0.2)


async def main(folder: str, port: str) -> None:
    """Serve until Ctrl-C."""
    host = Settings.load().engine
    async with open_session() as session, aiodocker.Docker(url=host) as docker:
        await serve(session, docker, folder, port)


asyncio.run(main(*sys.argv[1:]))
