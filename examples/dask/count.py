"""Runs Dask tasks whose code is a bundle: `python examples/dask/count.py [SCHEDULER]`.

Needs `pip install distributed`, here and, with aweigh, on the workers. Without
SCHEDULER it starts two workers on this machine.
"""

import asyncio
import importlib
import sys
from pathlib import Path

from distributed import Client, LocalCluster, Worker, WorkerPlugin

from aweigh import fetch_bundle, upload_bundle

SOURCE = Path(__file__).parent / "src"


class BundlePlugin(WorkerPlugin):
    """Lets workers import the code of a bundle; those that join later, too.

    Workers of one machine fetch it once. Registering another bundle replaces it:
    modules that were imported stay as they are until `Client.restart`.
    """

    name = "aweigh-bundle"

    def __init__(self, uri: str) -> None:
        """Remember what to fetch."""
        self.uri = uri
        self.path = ""

    async def setup(self, worker: Worker) -> None:
        """Fetch the bundle, every file verified, beside the worker's own directory."""
        place = Path(worker.local_directory).parent / self.uri.rpartition("/")[2]
        self.path = str(await fetch_bundle(self.uri, place))
        sys.path.insert(0, self.path)

    def teardown(self, worker: Worker) -> None:
        """Make room for the next one."""
        del worker
        sys.path.remove(self.path)


def letters_of(word: str) -> int:
    """Run on a worker, where the bundle is."""
    found: int = importlib.import_module("letters").count(word)
    return found


async def main(words: list[str], scheduler: str | None) -> None:
    """Upload the code, give it to all workers, and run tasks."""
    bundle = await upload_bundle(SOURCE)
    print(bundle.origin, bundle.uri)
    cluster = scheduler or await LocalCluster(
        n_workers=2, threads_per_worker=1, asynchronous=True, dashboard_address=None
    )
    async with Client(cluster, asynchronous=True) as client:
        await client.register_plugin(BundlePlugin(bundle.uri))
        print("letters:", await client.gather(client.map(letters_of, words)))
        if isinstance(cluster, LocalCluster):
            await cluster.close()


if __name__ == "__main__":
    asyncio.run(main(["anchors", "aweigh"], sys.argv[1] if sys.argv[1:] else None))
