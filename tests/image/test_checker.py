"""The chain of checkers: who decides, who is asked, what is told."""

import asyncio
from itertools import product

import pytest

from aweigh.events import Checked, Event, silent
from aweigh.image.checker import (
    Absent,
    Checker,
    FirstDecisive,
    Present,
    Unknown,
    Verdict,
)
from aweigh.oci import Platform, Reference, describe

REFERENCE = Reference.parse("h.io/train:1")
PLATFORMS = frozenset({Platform.parse("linux/amd64")})
PRESENT = Present(describe(b"index", "x/y"), PLATFORMS)
ABSENT = Absent("404")
UNKNOWN = Unknown("429", "wait a minute")


class Saying:
    """A checker with one answer."""

    def __init__(self, name: str, verdict: Verdict | Exception) -> None:
        self.name = name
        self.asked: list[tuple[Reference, frozenset[Platform]]] = []
        self._verdict = verdict

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Give the answer."""
        self.asked.append((reference, platforms))
        if isinstance(self._verdict, Exception):
            raise self._verdict
        return self._verdict


@pytest.mark.parametrize("verdicts", [*product([PRESENT, ABSENT, UNKNOWN], repeat=3)])
async def test_the_first_decisive_answer_counts(
    verdicts: tuple[Verdict, Verdict, Verdict],
) -> None:
    """In every combination the first Present or Absent wins and ends the asking."""
    checkers = [Saying(f"c{number}", said) for number, said in enumerate(verdicts)]
    events: list[Event] = []
    verdict = await FirstDecisive(checkers, events.append).check(REFERENCE, PLATFORMS)
    deciding = [n for n, said in enumerate(verdicts) if not isinstance(said, Unknown)]
    asked = deciding[0] + 1 if deciding else 3
    assert [len(checker.asked) for checker in checkers] == [1] * asked + [0] * (
        3 - asked
    )
    assert checkers[0].asked == [(REFERENCE, PLATFORMS)]
    if deciding:
        assert verdict is verdicts[deciding[0]]
    else:
        assert verdict == Unknown(
            "c0: 429; c1: 429; c2: 429",
            "wait a minute",
            reasons=(("c0", "429"), ("c1", "429"), ("c2", "429")),
        )
    assert len(events) == asked


async def test_each_answer_is_told() -> None:
    """Listeners hear who said what and why, in order; Present needs no reason."""
    events: list[Event] = []
    checkers = [Saying("cache", UNKNOWN), Saying("registry", PRESENT)]
    await FirstDecisive(checkers, events.append).check(REFERENCE, PLATFORMS)
    told = [event for event in events if isinstance(event, Checked)]
    assert [(event.checker, event.verdict, event.reason) for event in told] == [
        ("cache", "unknown", "429"),
        ("registry", "present", ""),
    ]
    assert all(event.reference == REFERENCE and event.seconds >= 0 for event in told)


async def test_absent_is_told_with_its_reason() -> None:
    """How we know that an image is missing is part of the event."""
    events: list[Event] = []
    await FirstDecisive([Saying("registry", ABSENT)], events.append).check(
        REFERENCE, PLATFORMS
    )
    (event,) = events
    assert isinstance(event, Checked)
    assert (event.verdict, event.reason) == ("absent", "404")


async def test_all_hints_are_kept_once() -> None:
    """When nobody knows, the answer has every reason and each hint once."""
    checkers = [
        Saying("a", Unknown("timeout", "try again")),
        Saying("b", Unknown("no row")),
        Saying("c", Unknown("503", "try again")),
        Saying("d", Unknown("401", "log in", refused=True)),
    ]
    verdict = await FirstDecisive(checkers, silent).check(REFERENCE, PLATFORMS)
    assert verdict == Unknown(
        "a: timeout; b: no row; c: 503; d: 401",
        "try again; log in",
        refused=True,
        reasons=(("a", "timeout"), ("b", "no row"), ("c", "503"), ("d", "401")),
    )


async def test_nobody_to_ask_is_unknown() -> None:
    """An empty chain guesses nothing."""
    verdict = await FirstDecisive([], silent).check(REFERENCE, PLATFORMS)
    assert verdict == Unknown("nobody was asked", "")


async def test_chains_nest() -> None:
    """A chain is a checker, so it can be part of another."""
    inner: Checker = FirstDecisive([Saying("a", UNKNOWN)], silent)
    verdict = await FirstDecisive([inner, Saying("b", ABSENT)], silent).check(
        REFERENCE, PLATFORMS
    )
    assert verdict is ABSENT


async def test_errors_are_not_verdicts() -> None:
    """A bug in a checker is not taken for Unknown, and nobody else is asked."""
    after = Saying("b", PRESENT)
    with pytest.raises(ZeroDivisionError):
        await FirstDecisive([Saying("a", ZeroDivisionError()), after], silent).check(
            REFERENCE, PLATFORMS
        )
    assert after.asked == []


async def test_cancelling_stops_the_asking() -> None:
    """A cancelled check passes the cancellation on and asks nobody else."""
    asked = asyncio.Event()

    class Slow:
        name = "slow"

        async def check(
            self, _reference: Reference, _platforms: frozenset[Platform], /
        ) -> Verdict:
            asked.set()
            await asyncio.Event().wait()
            return ABSENT

    after = Saying("b", PRESENT)
    task = asyncio.create_task(
        FirstDecisive([Slow(), after], silent).check(REFERENCE, PLATFORMS)
    )
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert after.asked == []
