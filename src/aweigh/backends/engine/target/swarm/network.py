"""The network of ours in a swarm, on which all services of a namespace are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aweigh.errors import EngineError

if TYPE_CHECKING:
    from typing import Any

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels

__all__ = ["ensure_overlay", "has_ingress", "remove_overlay"]

_FORBIDDEN = 403
_NOT_FOUND = 404
_KEEPS_IN_USE_SECONDS = 3.0
_POLL_SECONDS = 0.2


async def ensure_overlay(engine: Engine, labels: Labels) -> str:
    """Return the id of a namespace's network over all nodes; made if it is not there.

    Raises:
        EngineError: The engine is missing, no manager, or refuses.
    """
    if found := await _overlays(engine, labels):
        return found[0]
    document = {
        "Name": labels.namespace,
        "CheckDuplicate": True,
        "Driver": "overlay",
        "Attachable": True,
        "Labels": dict(labels.network),
    }
    try:
        made = await engine.send("POST", "networks/create", document=document)
    except EngineError:
        # Somebody else made it at the same moment, else there is another reason.
        if found := await _overlays(engine, labels):
            return found[0]
        raise
    return str(made["Id"])


async def remove_overlay(engine: Engine, labels: Labels) -> None:
    """Remove the network of a namespace, unless services are on it.

    Raises:
        EngineError: The engine is missing, or no manager.
    """
    deadline = asyncio.get_running_loop().time() + _KEEPS_IN_USE_SECONDS
    for network in await _overlays(engine, labels):
        while not await _delete(engine, network):
            # Tasks of a removed service hold it until their nodes have let go.
            if asyncio.get_running_loop().time() > deadline:
                return
            if await _is_used(engine, network):
                return
            await asyncio.sleep(_POLL_SECONDS)


async def has_ingress(engine: Engine) -> bool:
    """Tell whether the swarm has the network that publishes ports on every node.

    Who runs a swarm whose kernels lack IPVS removes it: `docker network rm ingress`.
    """
    networks = await engine.send("GET", "networks")
    return any(one.get("Ingress") for one in networks)


async def _overlays(engine: Engine, labels: Labels) -> list[str]:
    """Return our networks over all nodes, oldest first."""
    found = await engine.send("GET", "networks", params=labels.filters())
    ours = [one for one in found if one.get("Scope") == "swarm"]
    ours.sort(key=lambda one: (str(one["Created"]), str(one["Id"])))
    return [str(one["Id"]) for one in ours]


async def _delete(engine: Engine, network: str) -> bool:
    try:
        await engine.send("DELETE", f"networks/{network}")
    except EngineError as exc:
        if exc.status == _NOT_FOUND:
            return True
        if exc.status == _FORBIDDEN or "in use" in str(exc):
            return False
        raise
    return True


async def _is_used(engine: Engine, network: str) -> bool:
    services = await engine.send("GET", "services")
    return any(_uses(one["Spec"]["TaskTemplate"], network) for one in services)


def _uses(template: dict[str, Any], network: str) -> bool:
    return any(one.get("Target") == network for one in template.get("Networks") or ())
