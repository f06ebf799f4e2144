"""Where this process reaches containers of an engine, which may run in a VM."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aweigh.backends.engine.target.docker.container import PublishedPort
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.docker.network import Network

__all__ = ["EngineTraits", "engine_traits", "is_direct", "program_address", "way_to"]

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What containers need to know of their engine.

    Attributes:
        host: The machine whose ports it publishes, as seen from here.
        is_local: Whether that is this machine.
        has_own_machine: Whether it runs in a VM of its own on this machine.
        has_init: Whether it can give containers an init.
    """

    host: str
    is_local: bool
    has_own_machine: bool
    has_init: bool


async def engine_traits(engine: Engine) -> EngineTraits:
    """Ask an engine what it is.

    Raises:
        EngineError: It is missing, or not one.
    """
    version = await engine.send("GET", "version") or {}
    host = urlsplit(engine.host).hostname if "://" in engine.host else None
    if engine.host.startswith(("unix:", "npipe:")) or host is None:
        host = _LOOPBACK
    parts = version.get("Components") or ()
    return EngineTraits(
        host=host,
        is_local=_is_loopback(host),
        has_own_machine="Docker Desktop" in str(version.get("Platform") or ""),
        has_init=any(
            part.get("Name") == "docker-init"
            and part.get("Version") not in {"", "N/A", None}
            for part in parts
        ),
    )


async def is_direct(traits: EngineTraits, engine: Engine, network: Network) -> bool:
    """Tell whether the addresses of a network's containers can be reached from here.

    They can when the network's gateway is an address of this machine: nobody else can
    bind it. Not so in a VM (Docker Desktop), with a rootless engine, or far away.
    """
    if traits.has_own_machine or not engine.host.startswith("unix:"):
        return False
    return bool(network.gateway) and await asyncio.to_thread(_is_ours, network.gateway)


def way_to(port: int, traits: EngineTraits) -> PublishedPort:
    """Return how to publish a container's port for this process, on any free one."""
    address = _LOOPBACK if traits.is_local else ""
    return PublishedPort(published=0, container=port, address=address)


def program_address(
    inspected: dict[str, Any], traits: EngineTraits, port: int
) -> tuple[str, int] | None:
    """Return where a port of a container is reached; None when it does not run.

    Args:
        inspected: What the engine tells about the container.
        traits: The engine's.
        port: The container's port.

    Raises:
        EngineError: The engine tells it in a way we cannot read.
    """
    try:
        settings = inspected["NetworkSettings"]
        for binding in (settings.get("Ports") or {}).get(f"{port}/tcp") or ():
            # The same port of IPv6 can be published under another number.
            if ":" not in str(binding.get("HostIp", "")):
                return traits.host, int(binding["HostPort"])
        for endpoint in (settings.get("Networks") or {}).values():
            if address := str(endpoint.get("IPAddress") or ""):
                return address, port
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise EngineError(
            "the engine describes the network of a container in a way we cannot read",
            hint="update the engine, or aweigh",
        ) from exc
    return None


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
