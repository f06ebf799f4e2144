"""`aweigh run`: a command with its image and its code, to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.cli.load import load_spec
from aweigh.cli.output import bundle_json, image_json, print_json
from aweigh.cli.program import BROKEN_PIPE, Output
from aweigh.cli.view import view
from aweigh.cli.work import around
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse

    from aweigh.cli.view import View
    from aweigh.cli.work import Around
    from aweigh.flow.run import RunResult

__all__ = ["run"]


async def run(arguments: argparse.Namespace) -> int:
    """Run it; its output is ours, and so is its exit code."""
    surroundings = around(arguments)
    with view(arguments) as seen:
        output = Output(only_stderr=arguments.json, begin=seen.end)
        result = await output.until_end(_run(arguments, surroundings, seen, output))
    if result is None:
        return BROKEN_PIPE
    if arguments.json:
        print_json(
            {
                "exit_code": result.exit_code,
                "seconds": result.seconds,
                "image": image_json(result.ready.image),
                "bundle": bundle_json(result.ready.bundle),
            }
        )
    return result.exit_code


async def _run(
    arguments: argparse.Namespace, surroundings: Around, seen: View, output: Output
) -> RunResult:
    spec = await asyncio.to_thread(load_spec, arguments.spec)
    async with open_session(listener=seen) as session:
        return await session.run(
            spec,
            arguments.dir,
            arguments.program,
            target=arguments.target,
            timeout=arguments.timeout,
            on_log=output,
            **surroundings,
        )
