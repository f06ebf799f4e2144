"""`aweigh deploy`, `aweigh ps`, `aweigh logs` and `aweigh stop`."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from aweigh.cli.load import load_spec
from aweigh.cli.output import print_json, readable_time
from aweigh.cli.program import BROKEN_PIPE, Output
from aweigh.cli.table import print_table
from aweigh.cli.view import view
from aweigh.cli.work import around
from aweigh.flow.deploy import service_target
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from aweigh.flow.target import Running

__all__ = ["deploy", "logs", "ps", "stop"]


async def deploy(arguments: argparse.Namespace) -> int:
    """Bring a service to what the directory holds, and print where it answers."""
    surroundings = around(arguments)
    with view(arguments) as seen:
        spec = await asyncio.to_thread(load_spec, arguments.spec)
        async with open_session(listener=seen) as session:
            service = await session.deploy(
                spec,
                arguments.dir,
                arguments.program,
                name=arguments.name,
                replicas=arguments.replicas,
                ports=dict(arguments.publish),
                target=arguments.target,
                **surroundings,
                health_path=arguments.health_path,
            )
    if arguments.json:
        print_json(
            {
                "name": service.name,
                "image": service.image,
                "url": service.url,
                "replicas": service.replicas,
            }
        )
    else:
        print(service.url or service.name)
    return 0


async def ps(arguments: argparse.Namespace) -> int:
    """List what of ours a target holds."""
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            target = service_target(await session.target(arguments.target))
            found = await target.running()
    if arguments.json:
        print_json({"running": [_running_json(one) for one in found]})
    else:
        _print_running(found)
    return 0


async def logs(arguments: argparse.Namespace) -> int:
    """Print what something of ours wrote; follow it if it is wished."""
    output = Output(only_stderr=False, begin=lambda: None)
    code = await output.until_end(_logs(arguments, output))
    return BROKEN_PIPE if code is None else code


async def _logs(arguments: argparse.Namespace, output: Output) -> int:
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            target = service_target(await session.target(arguments.target))
            written = target.logs(arguments.name, follow=arguments.follow)
            async with aclosing(written) as lines:
                async for line in lines:
                    output(line)
    return 0


async def stop(arguments: argparse.Namespace) -> int:
    """Stop what is named, or everything, and print what was stopped."""
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            target = service_target(await session.target(arguments.target))
            if arguments.all:
                stopped = list(await target.remove_all())
            else:
                stopped = []
                for name in arguments.names:
                    await target.remove(name)
                    stopped.append(name)
    if arguments.json:
        print_json({"stopped": stopped})
    else:
        for name in stopped:
            print(name)
    return 0


def _running_json(one: Running) -> dict[str, object]:
    running, wanted = one.replicas
    return {
        "name": one.name,
        "kind": one.kind,
        "target": one.target,
        "image": one.image,
        "state": one.state,
        "running": running,
        "wanted": wanted,
        "url": one.url,
        "since": one.since.isoformat(),
    }


def _print_running(found: Sequence[Running]) -> None:
    now = time.time()
    rows = [
        (
            one.name,
            one.kind,
            one.state,
            "/".join(map(str, one.replicas)),
            readable_time(max(0.0, now - one.since.timestamp())),
            one.url or "-",
            _short(one.image),
        )
        for one in found
    ]
    if rows:
        print_table(("name", "kind", "state", "replicas", "for", "url", "image"), rows)


def _short(image: str) -> str:
    """Shorten a digest to what people compare."""
    name, at, digest = image.rpartition("sha256:")
    return f"{name}{at}{digest[:12]}"
