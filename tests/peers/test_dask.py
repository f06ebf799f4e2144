"""Dask: real workers run tasks whose code is a bundle that they fetched."""

from __future__ import annotations

import pytest

from tests.peers.environment import ROOT, Peer

pytestmark = [pytest.mark.peers, pytest.mark.timeout(400)]

EXAMPLE = ROOT / "examples" / "dask" / "count.py"


def test_workers_fetch_the_bundle(live_environ: dict[str, str]) -> None:
    """Two workers import what only the bundle has; the second run uploads nothing."""
    dask = Peer("dask")
    first = dask.run(live_environ, "python", EXAMPLE).splitlines()
    assert first[0].startswith("uploaded file://")
    assert first[1] == "letters: [7, 6]"
    again = dask.run(live_environ, "python", EXAMPLE).splitlines()
    assert again == [first[0].replace("uploaded", "recalled"), first[1]]
