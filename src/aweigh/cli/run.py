"""`aweigh run`: a command with its image and its code, to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.cli.load import load_spec
from aweigh.cli.output import bundle_json, image_json, print_json
from aweigh.cli.program import BROKEN_PIPE, Output
from aweigh.cli.view import view
from aweigh.cli.work import Around
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse

__all__ = ["run"]


async def run(arguments: argparse.Namespace) -> int:
    """Run it; its output is ours, and so is its exit code."""
    around = Around.of(arguments)
    with view(arguments) as seen:
        output = Output(only_stderr=arguments.json, begin=seen.end)
        spec = await asyncio.to_thread(load_spec, arguments.spec)
        try:
            async with open_session(listener=seen) as session:
                result = await session.run(
                    spec,
                    arguments.dir,
                    arguments.program,
                    target=arguments.target,
                    env=around.env,
                    secrets=around.secrets,
                    resources=around.resources,
                    mounts=around.mounts,
                    timeout=arguments.timeout,
                    on_log=output,
                )
        except asyncio.CancelledError:
            if output.is_broken:
                return BROKEN_PIPE
            raise
        finally:
            output.flush()
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
