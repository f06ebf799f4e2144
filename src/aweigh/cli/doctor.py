"""`aweigh doctor`: is everything there that these settings need?"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from aweigh.backends.localdb import open_localdb
from aweigh.cli.finding import looked
from aweigh.cli.machine import cache, clock, disk, python, uv, variables
from aweigh.cli.output import painted, print_json
from aweigh.cli.reach import Reach
from aweigh.events import silent
from aweigh.settings import Settings
from aweigh.wiring import Backends

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from aweigh.cli.finding import Finding
    from aweigh.cli.output import Colour

__all__ = ["doctor"]

_COLOURS: Final[dict[str, Colour]] = {"ok": "green", "note": "cyan", "FAIL": "red"}


async def doctor(arguments: argparse.Namespace) -> int:
    """Look at everything, print it, and fail when something needed is broken."""
    settings = Settings.load()
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(
            open_localdb(settings.cache_dir, listener=silent)
        )
        reach = Reach(settings, Backends(settings, memory, silent, stack))
        looks = [
            *variables(),
            python(),
            await uv(),
            await looked("engine", reach.engine),
            await looked("target", reach.target),
            await looked("registry", reach.registry),
            await looked("base", reach.base),
            await looked("store", reach.store),
            await cache(settings),
            await clock(settings),
            *disk(settings),
        ]
    findings = [finding for finding in looks if finding is not None]
    if arguments.json:
        print_json({finding.name: _json(finding) for finding in findings})
    else:
        _print(findings)
    return 1 if any(finding.level == "FAIL" for finding in findings) else 0


def _json(finding: Finding) -> dict[str, object]:
    return {
        "ok": finding.level != "FAIL",
        "level": finding.level,
        "detail": finding.detail,
        "hint": finding.hint,
    }


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        mark = painted(f"{finding.level:4}", _COLOURS[finding.level], sys.stdout)
        print(f"{mark} {finding.name:9} {finding.detail}")
        if finding.hint:
            print(f"{'':14} {painted('hint:', 'cyan', sys.stdout)} {finding.hint}")
