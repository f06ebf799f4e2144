"""A flow that deploys a service by digest: `python examples/deploy_flow.py 8000`."""

import asyncio
import os
import sys
from pathlib import Path

from aweigh import ImageSpec, deploy

CODE = Path(__file__).parent / "task"
spec = ImageSpec("deploy-flow", base=os.environ.get("EXAMPLE_BASE")).with_labels(
    {"team": "examples"}
)


async def main(port: str) -> None:
    """Keep the service running; the same again changes nothing."""
    service = await deploy(
        spec,
        CODE,
        ["python3", "web.py"],
        name="example-service",
        ports={int(port): 8000},
        env={"PORT": "8000"},
        health_path="/",
    )
    print(service.url, service.image)


asyncio.run(main(*sys.argv[1:]))
