"""How long a store may take for what."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Deadlines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a store may take, in seconds.

    Attributes:
        request: For an answer that carries no content, and until content begins.
        piece: For each piece of a download.
        transfer: For an upload of up to 16 MiB: one small object, or one part.
        abort: For cleaning up after an upload that was cancelled.
    """

    request: float = 15.0
    piece: float = 60.0
    transfer: float = 300.0
    abort: float = 10.0
