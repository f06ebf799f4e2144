"""One round: every side through its phases, in turn, each with a state of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.bundles import programs
from benchmarks.bundles.environments import interpreter
from benchmarks.bundles.sides import PHASES, SIDES, How
from benchmarks.bundles.trees import TREES
from benchmarks.measure import environ

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.bundles.trees import Tree

__all__ = ["Bench"]

_HERE: Final = Path(__file__).parents[2]
_SETTLED: Final = 3.0
"""Seconds after which a file's age no longer makes it suspicious to anybody."""


@dataclass(slots=True, kw_only=True)
class Bench:
    """What all rounds share.

    Attributes:
        work: Where the sides keep what they know and store.
        sides: Those that are measured.
        patience: Seconds; a side that took longer runs that phase only once.
        note: Keeps a result.
    """

    work: Path
    sides: Sequence[str]
    patience: float
    note: Callable[[dict[str, Any]], None]
    _slow: set[tuple[str, str, str]] = field(default_factory=set)

    def run(self, tree: Tree, number: int, phases: Sequence[str]) -> None:
        """Run a round on a tree, starting with another side in each round.

        A side that fails is left out of the rest of the round, and the failure noted.
        """
        turn = number % len(self.sides)
        running = [*self.sides[turn:], *self.sides[:turn]]
        tree.restore()
        time.sleep(_SETTLED)
        for phase in _needed(phases):
            for side in tuple(running):
                if phase not in SIDES[side].phases or self._is_spared(
                    tree, side, phase
                ):
                    continue
                result: dict[str, Any] = {"tree": tree.name, "round": number}
                result |= {"phase": phase, "side": side}
                try:
                    found = self._measure(tree, side, phase, is_first=number == 0)
                    result |= {"kind": "run", **found}
                except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                    running.remove(side)
                    result |= {"kind": "failed", "error": _told(error)}
                self.note(result)

    def clean(self, tree: Tree) -> None:
        """Remove what the sides know and store of a tree."""
        tree.restore()
        shutil.rmtree(self.work / "state" / tree.name, ignore_errors=True)

    def _is_spared(self, tree: Tree, side: str, phase: str) -> bool:
        """Say whether a run would only show again how long it takes.

        What a side must know for a later phase is still there from its only cold run:
        the state is not emptied for a side that does not run.
        """
        return side != "ours" and (tree.name, side, phase) in self._slow

    def _measure(
        self, tree: Tree, side: str, phase: str, *, is_first: bool
    ) -> dict[str, Any]:
        state = self.work / "state" / tree.name / side
        _prepare_state(state, phase, side)
        programs.prepare(side, tree.root, state)
        command = _command(side, phase, tree.root, state)
        if phase == "edit":
            tree.edit(f"{side} {time.time_ns()}")
        # What others wrote reaches the disk before the clock starts.
        subprocess.run(["sync"], check=True)
        if command:
            env = _environment(side, state)
            ran = subprocess.run(
                command, cwd=state, env=env, capture_output=True, text=True, check=True
            )
            found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        else:
            found = programs.run(side, tree.root, state, memory=is_first)
        if found.get("files", TREES[tree.name].files) != TREES[tree.name].files:
            raise RuntimeError(f"{side} bundled {found['files']} files")
        if found["seconds"] > self.patience:
            self._slow.add((tree.name, side, phase))
        return found


def _needed(chosen: Sequence[str]) -> list[str]:
    """Return the phases that have to run so that the chosen ones can."""
    order = list(PHASES)
    last = max(map(order.index, chosen))
    return order[: last + 1]


def _prepare_state(state: Path, phase: str, side: str) -> None:
    """Give a side what it may know.

    What it knew is put aside, not removed: for a minute ext4 takes no inode again that
    was freed, and searches past all of them for each new file.
    """
    if phase == "cold" and state.exists():
        state.rename(state.with_name(f"{side}-{time.time_ns()}"))
    elif phase == "fresh" and side == "ours":
        cache = state / "cache"
        cache.rename(state.with_name(f"{side}-cache-{time.time_ns()}"))
    state.mkdir(parents=True, exist_ok=True)


def _command(side: str, phase: str, root: Path, state: Path) -> list[str]:
    """Return what measures a side; empty for a program."""
    match SIDES[side].how:
        case How.OURS:
            python = sys.executable
        case How.PEER:
            python = str(interpreter(side))
        case How.PROGRAM:
            return []
    module = ["-m", f"benchmarks.bundles.{side}"]
    return [python, *module, phase, str(root), str(state)]


def _environment(side: str, state: Path) -> Mapping[str, str]:
    if SIDES[side].how is How.OURS:
        known = environ()
        paths = [str(_HERE), known.get("PYTHONPATH", "")]
        return known | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # A home of its own: what a peer remembers is part of its state, and no other's.
    return environ(PYTHONPATH=str(_HERE), HOME=str(state))


def _told(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError) and error.stderr:
        return str(error.stderr)[-2000:]
    return str(error)
