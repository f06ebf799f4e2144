"""Ray's side: a job submitted to a cluster that is up, with a working_dir.

Runs in Ray's own environment: `python ray_side.py ADDRESS`, and is told and answers
like ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from ray.job_submission import JobSubmissionClient


async def first_line(client: JobSubmissionClient, job: str) -> str:
    """Return the first line of the program's own output."""
    said: str = ""
    async for piece in client.tail_job_logs(job):
        said += piece
        for line in said.splitlines():
            if line.startswith("mark-"):
                return line
    raise AssertionError(said)


async def main(address: str) -> None:
    """Answer until the input ends."""
    client = JobSubmissionClient(address)
    for line in sys.stdin:
        asked = json.loads(line)
        began = time.perf_counter()
        job = client.submit_job(
            entrypoint="python -u main.py",
            runtime_env={"working_dir": asked["directory"]},
        )
        said = await first_line(client, job)
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "line": said}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
