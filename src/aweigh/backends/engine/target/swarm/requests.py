"""The requests that change a service of a swarm."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.swarm.api import inspect_service
from aweigh.backends.engine.target.swarm.faults import took_another_turn
from aweigh.backends.engine.target.swarm.spec import config_digest, service_document
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.swarm.api import Found
    from aweigh.backends.engine.target.swarm.spec import Surroundings
    from aweigh.flow.target import Deployment

__all__ = ["Change", "roll_back", "send_deployment", "send_replicas"]

_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was asked of the swarm.

    Attributes:
        service: The id of the service.
        config: What its replicas are to run, in a digest.
        replicas: How many.
        before: The service before; None when there was none.
    """

    service: str
    config: str
    replicas: int
    before: Found | None


async def send_deployment(
    engine: Engine,
    wanted: Deployment,
    around: Surroundings,
    before: Found | None,
    headers: Mapping[str, str],
) -> Change | None:
    """Create or update a service; None when somebody else did so first.

    What runs already as it is wanted is left alone.

    Raises:
        EngineError: The engine is missing, no manager, or refuses.
    """
    document = service_document(wanted, around)
    config = config_digest(wanted, around)
    try:
        if before is None:
            made = await engine.send(
                "POST", "services/create", document=document, headers=headers
            )
            service = str(made["ID"])
        else:
            service = before.id
            if before.config != config:
                await _update(engine, before, document, headers)
            elif before.replicas != wanted.replicas:
                await send_replicas(engine, before, wanted.replicas)
    except EngineError as exc:
        if took_another_turn(exc):
            return None
        raise
    return Change(
        service=service, config=config, replicas=wanted.replicas, before=before
    )


async def send_replicas(engine: Engine, found: Found, replicas: int) -> None:
    """Change how many replicas a service has; the ones there are stay.

    Raises:
        EngineError: The engine refuses, also when somebody else was faster.
    """
    spec = copy.deepcopy(found.spec)
    spec["Mode"]["Replicated"]["Replicas"] = replicas
    await _update(engine, found, spec, {})


async def roll_back(engine: Engine, service: str) -> None:
    """Return a service to what it was before its last update."""
    for _ in range(_TRIES):
        found = await inspect_service(engine, service)
        if found is None:
            return
        params = {"version": str(found.version), "rollback": "previous"}
        try:
            await engine.send(
                "POST",
                f"services/{service}/update",
                params=params,
                document=found.spec,
            )
        except EngineError as exc:
            if not took_another_turn(exc):
                raise
        else:
            return


async def _update(
    engine: Engine,
    found: Found,
    document: Mapping[str, object],
    headers: Mapping[str, str],
) -> None:
    await engine.send(
        "POST",
        f"services/{found.id}/update",
        params={"version": str(found.version)},
        document=document,
        headers=headers,
    )
