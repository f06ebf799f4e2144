"""The grammar of the flows: the commands that start something, and look after it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_flow"]

_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_PORTS = 65_536


def add_flow(
    name: str, command: Callable[[str, str], argparse.ArgumentParser], spec_help: str
) -> None:
    """Add one of the flows' commands.

    Args:
        name: The command.
        command: Makes a command's parser, given its name and what it does.
        spec_help: What SPEC can be.
    """
    flows = {
        "run": ("run a command with image and code, to its end", _add_run),
        "deploy": ("keep a command running as a service, or update it", _add_deploy),
        "serve": ("serve what is edited, without losing a request", _add_serve),
        "render": (
            "print the manifests with which Kubernetes runs a command",
            _add_render,
        ),
        "ps": ("list what aweigh runs on a target", _add_ps),
        "logs": ("print what something of ours wrote", _add_logs),
        "stop": ("stop and remove what aweigh runs on a target", _add_stop),
    }
    does, add_options = flows[name]
    add_options(command(name, does), spec_help)


def _add_run(parser: argparse.ArgumentParser, spec_help: str) -> None:
    _add_work(parser, spec_help)
    _add_timeout(parser)
    parser.set_defaults(command=_run)


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help="stop the program when it takes longer",
    )


def _add_deploy(parser: argparse.ArgumentParser, spec_help: str) -> None:
    _add_work(parser, spec_help)
    parser.add_argument("--name", required=True, help="what the service is called")
    parser.add_argument(
        "--replicas", type=int, default=1, metavar="N", help="how many (default: 1)"
    )
    _add_publish(parser)
    parser.add_argument(
        "--health-path",
        metavar="PATH",
        help="a replica is well when this answers below 400 (default: while it runs)",
    )
    parser.set_defaults(command=_deploy)


def _add_render(parser: argparse.ArgumentParser, spec_help: str) -> None:
    _add_work(parser, spec_help)
    parser.add_argument("--name", required=True, help="what it is called there")
    parser.add_argument(
        "--replicas",
        type=int,
        metavar="N",
        help="how many; makes a Deployment, as --publish does (default: a Job)",
    )
    _add_publish(parser)
    _add_timeout(parser)
    for option, what in (
        ("--health-path", "a replica is ready when this answers below 400"),
        ("--namespace", "where everything goes (default: the context's)"),
        ("--service-account", "what pods run as"),
        ("--pull-secret", "name of the secret with the registry's credentials"),
    ):
        metavar = option.rpartition("-")[2].upper()
        parser.add_argument(option, metavar=metavar, help=what)
    parser.add_argument(
        "--service-type",
        choices=("ClusterIP", "NodePort", "LoadBalancer"),
        default="ClusterIP",
        help="how ports are published (default: ClusterIP)",
    )
    parser.set_defaults(command=_render)


def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-p",
        "--publish",
        action="append",
        type=_ports,
        default=[],
        metavar="PORT:CONTAINER",
        help="make a port of the container reachable; may be repeated",
    )


def _add_serve(parser: argparse.ArgumentParser, spec_help: str) -> None:
    _add_work(parser, spec_help)
    parser.add_argument(
        "--port",
        type=_port,
        default=8000,
        help="where to listen; 0 for any that is free (default: 8000)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--container-port",
        type=_port,
        metavar="PORT",
        help="where the program listens (default: the same, or 8000)",
    )
    parser.add_argument(
        "--health-path",
        default="/",
        metavar="PATH",
        help="a version is well when this answers below 500 (default: /)",
    )
    parser.add_argument(
        "--no-http",
        action="store_true",
        help="it speaks no HTTP: a version is well when it accepts connections",
    )
    parser.add_argument(
        "--health-timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long a version may take until it is well (default: 60)",
    )
    parser.set_defaults(command=_serve)


def _add_ps(parser: argparse.ArgumentParser, _spec_help: str) -> None:
    _add_target(parser)
    parser.set_defaults(command=_ps)


def _add_logs(parser: argparse.ArgumentParser, _spec_help: str) -> None:
    parser.add_argument("name", metavar="NAME", help="as `aweigh ps` lists it")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what it writes"
    )
    _add_target(parser)
    parser.set_defaults(command=_logs)


def _add_stop(parser: argparse.ArgumentParser, _spec_help: str) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "names", nargs="*", default=[], metavar="NAME", help="as `aweigh ps` lists it"
    )
    which.add_argument(
        "--all", action="store_true", help="everything, networks included"
    )
    _add_target(parser)
    parser.set_defaults(command=_stop)


def _add_work(parser: argparse.ArgumentParser, spec_help: str) -> None:
    """Add what a command needs around it."""
    parser.usage = "%(prog)s [SPEC] [OPTION...] -- COMMAND [ARGUMENT...]"
    parser.add_argument("spec", nargs="?", metavar="SPEC", help=spec_help)
    parser.add_argument(
        "--dir", default=".", metavar="DIR", help="the code (default: .)"
    )
    _add_target(parser)
    for short, option, metavar, what in (
        ("-e", "--env", "KEY[=VALUE]", "a variable; without a value, our own"),
        ("-s", "--secret", "NAME[=VALUE]", "a file in /run/secrets; the same"),
        ("-v", "--mount", "SOURCE:TARGET[:ro]", "a directory or volume"),
    ):
        parser.add_argument(
            short,
            option,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{what}; may be repeated",
        )
    parser.add_argument("--cpus", type=float, help="processors: 0.5")
    parser.add_argument("--memory", type=_size, help="bytes: 512m, 2g")
    parser.add_argument("--gpus", type=int, default=0, help="how many GPUs")


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", help="docker or swarm (default: the settings' own)")


def _size(text: str) -> int:
    number, unit = text.rstrip("bBiI"), 1
    if number and number[-1].lower() in _SIZES:
        number, unit = number[:-1], _SIZES[number[-1].lower()]
    try:
        return int(float(number) * unit)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; write 512m or 2g"
        ) from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _port(text: str) -> int:
    if not text.isdigit() or int(text) >= _PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _ports(text: str) -> tuple[int, int]:
    published, _, inside = text.partition(":")
    return _port(published), _port(inside or published)


# Each command's module is imported when it runs.


async def _run(arguments: Any) -> int:
    from aweigh.cli.run import run

    return await run(arguments)


async def _deploy(arguments: Any) -> int:
    from aweigh.cli.services import deploy

    return await deploy(arguments)


async def _serve(arguments: Any) -> int:
    from aweigh.cli.serve import serve

    return await serve(arguments)


async def _render(arguments: Any) -> int:
    from aweigh.cli.render import render

    return await render(arguments)


async def _ps(arguments: Any) -> int:
    from aweigh.cli.services import ps

    return await ps(arguments)


async def _logs(arguments: Any) -> int:
    from aweigh.cli.services import logs

    return await logs(arguments)


async def _stop(arguments: Any) -> int:
    from aweigh.cli.services import stop

    return await stop(arguments)
