"""`aweigh ensure` and `aweigh explain`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.cli.load import load_spec
from aweigh.cli.output import image_json, print_json
from aweigh.cli.plan import plan_json, print_plan
from aweigh.cli.view import view
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse

__all__ = ["ensure", "explain"]


async def ensure(arguments: argparse.Namespace) -> int:
    """Ensure an image and print it; with ``--check`` only say whether it exists."""
    spec = await asyncio.to_thread(load_spec, arguments.spec)
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            if arguments.check:
                # One question and one bit: no packages are resolved for it.
                plan = await session.explain(
                    spec, platforms=arguments.platform, layers=False
                )
                if arguments.json:
                    print_json(plan_json(plan))
                return 0 if plan.image.exists else 1
            image = await session.ensure_image(
                spec,
                platforms=arguments.platform,
                rebuild=arguments.rebuild,
                upgrade=arguments.upgrade,
            )
    if arguments.json:
        print_json(image_json(image))
    else:
        print(image)
    return 0


async def explain(arguments: argparse.Namespace) -> int:
    """Print what would happen and why."""
    spec = await asyncio.to_thread(load_spec, arguments.spec)
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            plan = await session.explain(spec, arguments.directory)
    if arguments.json:
        print_json(plan_json(plan))
    else:
        print_plan(plan)
    return 0
