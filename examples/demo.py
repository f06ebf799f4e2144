"""The main job, with a line for each thing that happens: `make demo` runs this."""

import asyncio
import os
import tempfile
import time

import aiodocker

from aweigh import ImageSpec, Settings, open_session
from aweigh.cli.progress import print_event

spec = (
    ImageSpec("aweigh-demo", base=os.environ.get("AWEIGH_DEMO_BASE"))
    .with_apt("jq")
    .with_packages("humanize==4.13.0")
    .with_workdir("/app")
)
program = """
import humanize, pathlib, subprocess
size = sum(path.stat().st_size for path in pathlib.Path("/app").rglob("*.py"))
jq = subprocess.check_output(["jq", "--version"], text=True).strip()
print(f"in the container: {humanize.naturalsize(size)} of code, {jq}")
"""


async def main() -> None:
    """Prepare image and code, then run one in the other."""
    settings = Settings.load()
    async with open_session(settings, listener=print_event) as session:
        ready = await session.prepare(spec, "src")
        print(f"image  {ready.image} ({ready.image.origin})")
        print(f"bundle {ready.bundle} ({ready.bundle.origin})")
        print(f"ready in {ready.seconds * 1000:.1f} ms")
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            code = await session.fetch_bundle(ready.bundle.uri, f"{folder}/code")
            await run(settings.engine, str(ready.image), str(code))
        print(f"ran in {time.perf_counter() - started:.2f} s")


async def run(engine: str | None, image: str, code: str) -> None:
    """Run the program in the pinned image with the fetched code mounted."""
    async with aiodocker.Docker(url=engine) as docker:
        if "@" in image:
            await docker.images.pull(image)
        container = await docker.containers.create(
            {
                "Image": image,
                "Cmd": ["python", "-c", program],
                "HostConfig": {"Binds": [f"{code}:/app:ro"], "NetworkMode": "none"},
            }
        )
        try:
            await container.start()
            await container.wait()
            print("".join(await container.log(stdout=True, stderr=True)), end="")
        finally:
            await container.delete(force=True)


asyncio.run(main())
