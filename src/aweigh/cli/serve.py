"""`aweigh serve`: what is edited, served."""

from __future__ import annotations

import asyncio
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.cli.load import load_spec, spec_file
from aweigh.cli.output import print_json
from aweigh.cli.program import BROKEN_PIPE, Output
from aweigh.cli.view import view
from aweigh.cli.work import around
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse

    from aweigh.cli.view import View
    from aweigh.cli.work import Around

__all__ = ["serve"]


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; print where, once the first version is well."""
    surroundings = around(arguments)
    with view(arguments) as seen:
        output = Output(only_stderr=True, begin=seen.end)
        code = await output.until_end(_serve(arguments, surroundings, seen, output))
    return BROKEN_PIPE if code is None else code


async def _serve(
    arguments: argparse.Namespace, surroundings: Around, seen: View, output: Output
) -> int:
    read = functools.partial(load_spec, arguments.spec, again=True)
    await asyncio.to_thread(read)
    spec_at = await asyncio.to_thread(spec_file, arguments.spec)
    async with (
        open_session(listener=seen) as session,
        session.serve(
            read,
            arguments.dir,
            arguments.program,
            port=arguments.port,
            host=arguments.host,
            container_port=arguments.container_port,
            target=arguments.target,
            health_path=None if arguments.no_http else arguments.health_path,
            health_timeout=arguments.health_timeout,
            also=[] if spec_at is None else [Path(spec_at)],
            on_log=output,
            **surroundings,
        ) as dev,
    ):
        seen.end()
        if arguments.json:
            print_json({"url": dev.url, "image": dev.image})
        else:
            print(dev.url, flush=True)
        await dev.wait()
    return 0
