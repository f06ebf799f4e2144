"""How an engine and a swarm are told of a mount."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aweigh.flow.target import Mount

__all__ = ["mount_document"]


def mount_document(mount: Mount) -> dict[str, object]:
    """Return a mount and no bind, of which an engine would make a missing directory."""
    return {
        "Type": "bind" if mount.source.startswith("/") else "volume",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
