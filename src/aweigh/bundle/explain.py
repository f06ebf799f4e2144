"""What an upload would do and why, found out without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aweigh.oci.digest import Digest

__all__ = ["BundlePlan", "Tier"]

Tier = Literal["cache", "store", "upload", "undecided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePlan:
    """What would happen to a bundle.

    Attributes:
        uri: Where it is, or would be.
        digest: Its digest.
        files: How many entries it has.
        size: Bytes of their contents.
        tier: Who would answer: ``cache`` or ``store``; or ``upload`` when it would be
            uploaded, ``undecided`` when the store does not say.
        reason: Why.
    """

    uri: str
    digest: Digest
    files: int
    size: int
    tier: Tier
    reason: str
