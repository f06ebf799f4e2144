"""Members that tests put into archives."""

from __future__ import annotations

from aweigh.archive.member import Member
from aweigh.oci.digest import Digest


def file(path: str, content: bytes, *, executable: bool = False) -> Member:
    """A file member that carries its content."""
    return Member(
        path=path,
        kind="file",
        executable=executable,
        size=len(content),
        source=content,
        digest=Digest.of(content),
    )
