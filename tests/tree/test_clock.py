"""The margin of the clock, per file system."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from aweigh.tree import clock

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 0:52 / /mnt rw,relatime shared:2 master:1 - nfs4 server:/x rw
41 22 0:53 / /ssh rw - fuse.sshfs a@b: rw
broken line
"""


@pytest.mark.parametrize(
    ("device", "margin"), [((8, 1), 2), ((0, 52), 900), ((0, 53), 900), ((9, 9), 2)]
)
def test_remote_file_systems_get_more_time(
    device: tuple[int, int],
    margin: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their clock is the server's."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    monkeypatch.setattr(clock, "_MOUNTS", mounts)
    before = time.time_ns()
    found = clock.settled_before(os.makedev(*device))
    assert 0 <= found - before + margin * 10**9 < 10**9


def test_without_proc_file_systems_count_as_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other systems have no such list."""
    monkeypatch.setattr(clock, "_MOUNTS", tmp_path / "none")
    assert time.time_ns() - clock.settled_before(1) < 3 * 10**9
