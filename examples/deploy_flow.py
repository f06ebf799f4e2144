"""A flow that deploys a service by digest: `python examples/deploy_flow.py 8000`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import aiodocker

from aweigh import ImageSpec, Ready, Settings, open_session

CODE = Path(__file__).parent / "task"
NAME = "aweigh-example-service"
spec = ImageSpec("deploy-flow", base=os.environ.get("EXAMPLE_BASE")).with_labels(
    {"team": "examples"}
)


async def deploy(docker: aiodocker.Docker, ready: Ready, code: Path, port: str) -> str:
    """Put the service in place of an older one, if it is not the same already."""
    labels = {"image": str(ready.image), "code": str(ready.bundle)}
    config: dict[str, Any] = {
        "Image": str(ready.image),
        "Cmd": ["python3", "/app/web.py"],
        "Env": [f"PORT={port}"],
        "Labels": labels,
        "HostConfig": {
            "Binds": [f"{code}:/app:ro"],
            "NetworkMode": "host",
            "RestartPolicy": {"Name": "unless-stopped"},
        },
    }
    for container in await docker.containers.list(filters={"name": [NAME]}):
        if (await container.show())["Config"]["Labels"].items() >= labels.items():
            return "unchanged"
        await container.delete(force=True)
    if ready.image.location == "registry":
        await docker.images.pull(str(ready.image))
    await docker.containers.run(config, name=NAME)
    return "deployed"


async def main(port: str) -> None:
    """Make image and code exist, then deploy them."""
    settings = Settings.load()
    async with (
        open_session(settings) as session,
        aiodocker.Docker(url=settings.engine) as docker,
    ):
        ready = await session.prepare(spec, CODE)
        releases = settings.data_dir.absolute() / "releases"
        # The directory is named by its content, so a release is never overwritten.
        code = releases / ready.bundle.digest.hex
        await session.fetch_bundle(ready.bundle.uri, code)
        print(await deploy(docker, ready, code, port), str(ready.image))


asyncio.run(main(*sys.argv[1:]))
