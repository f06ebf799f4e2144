"""Where a port that an engine or a swarm publishes answers."""

from __future__ import annotations

__all__ = ["url_at"]


def url_at(host: str, port: int) -> str:
    """Return the URL of a port; an address of IPv6 is bracketed."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
