"""Submits a Ray job whose code is a bundle: `python examples/ray/submit.py [ADDRESS]`.

Needs `pip install "ray[default]" "smart_open[s3]"` and a running cluster; ADDRESS is
that of its dashboard. Every node fetches the zip file from the store, once per bundle.
"""

import asyncio
import sys
from pathlib import Path

from ray.job_submission import JobStatus, JobSubmissionClient

from aweigh import upload_bundle

SOURCE = Path(__file__).parent / "src"


async def main(address: str) -> None:
    """Upload the code, run it, and print what it printed."""
    bundle = await upload_bundle(SOURCE, form="zip", follow=True)
    print(bundle.origin, bundle.uri)
    client = await asyncio.to_thread(JobSubmissionClient, address)
    job = await asyncio.to_thread(
        client.submit_job,
        entrypoint="python main.py anchors aweigh",
        runtime_env={"working_dir": bundle.uri},
    )
    while not (
        status := await asyncio.to_thread(client.get_job_status, job)
    ).is_terminal():
        await asyncio.sleep(0.5)
    print(await asyncio.to_thread(client.get_job_logs, job))
    if status is not JobStatus.SUCCEEDED:
        sys.exit(f"the job ended {status}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if sys.argv[1:] else "http://127.0.0.1:8265"))
