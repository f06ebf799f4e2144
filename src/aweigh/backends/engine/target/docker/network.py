"""The network of ours in an engine, on which all containers of a namespace are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aweigh.backends.engine.target.docker.turn import turn
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.events import Listener

__all__ = ["Network", "ensure_network", "remove_network"]

_NOT_FOUND = 404
_FORBIDDEN = 403
_CONFLICT = 409
# Not a name that a service has.
_TURN = "(network)"
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network of the engine.

    Attributes:
        id: How containers name it.
        gateway: The engine's own address on it; empty when it has none.
    """

    id: str
    gateway: str


async def ensure_network(
    engine: Engine, labels: Labels, image: str, listener: Listener
) -> Network:
    """Return the network of a namespace, made if it is not there.

    It is asked for each time: somebody may have removed it meanwhile. The engine lets
    two that ask at the same moment make two networks of one name, and then starts no
    container on either; so only one asks at a time.

    Args:
        engine: Where it is.
        labels: The namespace.
        image: An image the engine has, for waiting one's turn.
        listener: Hears of long waits.

    Raises:
        EngineError: The engine is missing, or refuses.
        TargetError: Somebody else who makes it takes too long.
    """
    if (found := await _find(engine, labels)) is not None:
        return found
    async with turn(
        engine, labels, _TURN, image, listener=listener, patience=_PATIENCE_SECONDS
    ):
        if (found := await _find(engine, labels)) is None:
            await _create(engine, labels)
            found = await _find(engine, labels)
    if found is None:
        raise EngineError(
            f"the network {labels.namespace} of the engine at {engine.host} was "
            "removed as soon as it was made",
            hint="somebody removes all of ours at this moment: try again",
        )
    return found


async def remove_network(engine: Engine, labels: Labels) -> None:
    """Remove the network of a namespace, unless containers are on it.

    Raises:
        EngineError: The engine is missing.
    """
    for one in await _networks(engine, labels):
        await _delete(engine, str(one["Id"]))


async def _networks(engine: Engine, labels: Labels) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await engine.send(
        "GET", "networks", params=labels.filters()
    )
    return found


async def _find(engine: Engine, labels: Labels) -> Network | None:
    found = await _networks(engine, labels)
    return _parse(found[0]) if found else None


async def _create(engine: Engine, labels: Labels) -> None:
    document = {
        "Name": labels.namespace,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Labels": dict(labels.network),
    }
    try:
        await engine.send("POST", "networks/create", document=document)
    except EngineError as exc:
        if exc.status == _CONFLICT:
            raise EngineError(
                f"a network named {labels.namespace} is in the engine at "
                f"{engine.host}, and it is not ours",
                hint=f"rename it, or remove it: docker network rm {labels.namespace}",
                status=exc.status,
            ) from exc
        raise


async def _delete(engine: Engine, network: str) -> None:
    try:
        await engine.send("DELETE", f"networks/{network}")
    except EngineError as exc:
        if exc.status not in {_NOT_FOUND, _FORBIDDEN}:
            raise


def _parse(found: dict[str, Any]) -> Network:
    settings = (found.get("IPAM") or {}).get("Config") or [{}]
    gateway = str(settings[0].get("Gateway") or "")
    # Podman and IPv6 write a prefix behind it.
    return Network(id=str(found["Id"]), gateway=gateway.partition("/")[0])
