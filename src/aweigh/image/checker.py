"""Whether an image exists: three answers, the checkers that give them, the chain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never

from aweigh.events.image import Checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.events import Listener
    from aweigh.oci import Descriptor, Platform, Reference

__all__ = ["Absent", "Checker", "FirstDecisive", "Present", "Unknown", "Verdict"]


@dataclass(frozen=True, slots=True)
class Present:
    """The image is there, for every platform that was asked for.

    Attributes:
        descriptor: What the reference points at now (the index, usually).
        platforms: All platforms it is known to have, the wanted ones among them.
        verified_at: When its holder confirmed this, in seconds since the epoch, if
            somebody remembers it; None when the holder was asked just now.
    """

    descriptor: Descriptor
    platforms: frozenset[Platform]
    verified_at: float | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """The image is not there, or lacks a wanted platform.

    Attributes:
        reason: How we know.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say; never to be taken for Present or Absent.

    Attributes:
        reason: Why there is no answer.
        hint: What the person can do about it.
        refused: Whether the credentials are the reason.
        reasons: Who said what, when several were asked: checker and reason.
    """

    reason: str
    hint: str = ""
    refused: bool = False
    reasons: tuple[tuple[str, str], ...] = ()


Verdict = Present | Absent | Unknown


class Checker(Protocol):
    """Answers whether an image exists."""

    @property
    def name(self) -> str:
        """A word for messages: ``cache``, ``registry``, ``engine``."""
        ...

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Say whether ``reference`` exists with all of these platforms.

        Faults are answers (Unknown), not errors; cancelling leaves nothing behind.
        """
        ...


class FirstDecisive:
    """Asks checkers in order and stops at the first Present or Absent.

    The last Unknown is not lost: `check` joins all reasons when nobody decides.
    """

    name = "chain"

    def __init__(self, checkers: Sequence[Checker], listener: Listener) -> None:
        self._checkers = tuple(checkers)
        self._listener = listener

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Return the first decisive verdict, or Unknown with every reason."""
        reasons: dict[str, Unknown] = {}
        for checker in self._checkers:
            started = time.perf_counter()
            verdict = await checker.check(reference, platforms)
            self._tell(checker.name, reference, verdict, started)
            match verdict:
                case Present() | Absent():
                    return verdict
                case Unknown():
                    reasons[checker.name] = verdict
                case _:
                    assert_never(verdict)
        return Unknown(
            "; ".join(f"{name}: {said.reason}" for name, said in reasons.items())
            or "nobody was asked",
            "; ".join(
                dict.fromkeys(said.hint for said in reasons.values() if said.hint)
            ),
            refused=any(said.refused for said in reasons.values()),
            reasons=tuple((name, said.reason) for name, said in reasons.items()),
        )

    def _tell(
        self, checker: str, reference: Reference, verdict: Verdict, started: float
    ) -> None:
        self._listener(
            Checked(
                checker=checker,
                reference=reference,
                verdict=type(verdict).__name__.lower(),
                reason="" if isinstance(verdict, Present) else verdict.reason,
                seconds=time.perf_counter() - started,
            )
        )
