"""Deploys a flow whose code is a bundle: `python examples/prefect/deploy.py POOL`.

Needs `pip install prefect`, a Prefect server and a process work pool. For a pool whose
workers run containers, pass `job_variables=job_variables(image)` as well, where `image`
is what `ensure_image` returned (`aweigh.integrations.prefect.job_variables`).
"""

import asyncio
import sys
from pathlib import Path

from prefect import Flow

from aweigh import upload_bundle
from aweigh.integrations.prefect import BundleStorage


async def main(pool: str) -> None:
    """Upload the code, and tell Prefect where it is."""
    bundle = await upload_bundle(Path(__file__).parent / "src")
    flow = await Flow.afrom_source(BundleStorage(bundle), "flow.py:count")
    await flow.adeploy(
        "example", work_pool_name=pool, build=False, push=False, print_next_steps=False
    )
    print(bundle.uri)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
