"""Who bundles: ours, the peers and the system's tools, and in which phases."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["PHASES", "SIDES", "How", "Side"]

PHASES: Final = {
    "cold": "cold: nothing known, nothing stored",
    "warm": "warm: nothing changed",
    "fresh": "fresh machine, warm store",
    "edit": "one file edited",
}
"""In order: each needs those before it."""


class How(Enum):
    """How a side is run: by our Python, by its own, or as a program."""

    OURS = "ours"
    PEER = "peer"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Somebody who bundles.

    Attributes:
        title: What it is called.
        how: How it is run.
        phases: Those in which it is.
        same: For other phases: the one whose figures are its figures there.
    """

    title: str
    how: How
    phases: tuple[str, ...]
    same: tuple[tuple[str, str], ...] = ()


_ALL: Final = tuple(PHASES)
_STATEFUL: Final = ("cold", "warm", "edit")

SIDES: Final = {
    "ours": Side(title="aweigh", how=How.OURS, phases=_ALL),
    "walk": Side(title="scandir + stat", how=How.OURS, phases=("warm",)),
    "git": Side(title="git status", how=How.PROGRAM, phases=("warm", "edit")),
    "tar1": Side(title="GNU tar + zstd -1", how=How.PROGRAM, phases=("cold",)),
    "tar3": Side(title="GNU tar + zstd -3", how=How.PROGRAM, phases=("cold",)),
    # Flyte's and DVC's knowledge is only on the machine, Ray's only in the store.
    "flyte": Side(
        title="Flyte", how=How.PEER, phases=_STATEFUL, same=(("fresh", "cold"),)
    ),
    "ray": Side(title="Ray", how=How.PEER, phases=_STATEFUL, same=(("fresh", "warm"),)),
    "dvc": Side(
        title="DVC build", how=How.PEER, phases=_STATEFUL, same=(("fresh", "cold"),)
    ),
    "modal": Side(
        title="Modal specs",
        how=How.PEER,
        phases=("warm",),
        same=(("cold", "warm"), ("fresh", "warm"), ("edit", "warm")),
    ),
}
