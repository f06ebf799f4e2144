"""`aweigh render`: the manifests with which a cluster runs a command."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aweigh.cli.load import load_spec
from aweigh.cli.output import print_json
from aweigh.cli.view import view
from aweigh.cli.work import around
from aweigh.errors import SettingsError
from aweigh.flow.target import Deployment
from aweigh.integrations.kubernetes import (
    ClusterOptions,
    render_deployment,
    render_job,
)
from aweigh.session import open_session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from aweigh.flow.target import Task
    from aweigh.integrations.kubernetes import Manifest

__all__ = ["render"]


async def render(arguments: argparse.Namespace) -> int:
    """Make the image exist, code included, and print manifests that name it."""
    if arguments.target not in {None, "kubernetes"}:
        raise SettingsError(
            f"nothing is rendered for {arguments.target!r}",
            hint="manifests are for kubernetes; run and deploy start on other targets",
        )
    write = _print_list if arguments.json else _yaml_writer()
    surroundings = around(arguments)
    with view(arguments) as seen:
        spec = await asyncio.to_thread(load_spec, arguments.spec)
        async with open_session(listener=seen) as session:
            task = await session.task(
                spec,
                arguments.dir,
                arguments.program,
                name=arguments.name,
                **surroundings,
            )
    write(_manifests(arguments, task))
    return 0


def _manifests(arguments: argparse.Namespace, task: Task) -> Sequence[Manifest]:
    options = ClusterOptions(
        namespace=arguments.namespace,
        service_account=arguments.service_account,
        pull_secret=arguments.pull_secret,
        service_type=arguments.service_type,
    )
    if arguments.replicas is None and not arguments.publish:
        return render_job(task, timeout=arguments.timeout, options=options)
    wanted = Deployment(
        name=task.name,
        task=task,
        replicas=1 if arguments.replicas is None else arguments.replicas,
        ports=dict(arguments.publish),
        health_path=arguments.health_path,
    )
    return render_deployment(wanted, options=options)


def _print_list(manifests: Sequence[Manifest]) -> None:
    items: list[Any] = list(manifests)
    print_json({"apiVersion": "v1", "kind": "List", "items": items})


def _yaml_writer() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise SettingsError(
            "YAML cannot be written: PyYAML is not installed",
            hint="pip install 'aweigh[kubernetes]', or use --json for kubectl",
        ) from error

    def write(manifests: Sequence[Manifest]) -> None:
        print(yaml.safe_dump_all(manifests, sort_keys=False, width=10_000), end="")

    return write
