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
from aweigh.cli.work import Around
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse

__all__ = ["serve"]


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; print where, once the first version is well."""
    around = Around.of(arguments)
    with view(arguments) as seen:
        output = Output(only_stderr=True, begin=seen.end)
        read = functools.partial(load_spec, arguments.spec, again=True)
        await asyncio.to_thread(read)
        spec_at = await asyncio.to_thread(spec_file, arguments.spec)
        try:
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
                    env=around.env,
                    secrets=around.secrets,
                    resources=around.resources,
                    mounts=around.mounts,
                    health_path=None if arguments.no_http else arguments.health_path,
                    health_timeout=arguments.health_timeout,
                    also=[] if spec_at is None else [Path(spec_at)],
                    on_log=output,
                ) as dev,
            ):
                seen.end()
                if arguments.json:
                    print_json({"url": dev.url, "image": dev.image})
                else:
                    print(dev.url, flush=True)
                await dev.wait()
        except asyncio.CancelledError:
            if output.is_broken:
                return BROKEN_PIPE
            raise
        finally:
            output.flush()
    return 0
