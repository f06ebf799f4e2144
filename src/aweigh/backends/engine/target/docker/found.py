"""What an engine has of ours: containers, as it lists them, and services of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aweigh.backends.engine.containers import PROBE_LABEL, remove_container
from aweigh.backends.engine.holder import HOLDER_LABEL, holder_is_dead
from aweigh.backends.engine.target.address import url_at
from aweigh.backends.engine.target.docker.faults import TARGET
from aweigh.backends.engine.target.docker.program import stop_container
from aweigh.backends.engine.target.labels import (
    CONFIG_LABEL,
    KIND_LABEL,
    LOCK_KIND,
    NAME_LABEL,
    SECRETS_LABEL,
)
from aweigh.errors import EngineError
from aweigh.flow.target import Running

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.flow.target import Kind

__all__ = ["Found", "describe", "end_container", "find", "orphaned_probes"]

_RUNNING = "running"
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container of ours.

    Attributes:
        id: The engine's name of exactly this container.
        container: Its own name.
        name: The task or service it belongs to.
        kind: The flow that made it, or `LOCK_KIND`.
        image: What it was made from.
        state: ``created``, ``running``, ``restarting``, ``exited``...
        config: What it runs and how, in a digest; empty for what is not deployed.
        secrets: The names of its secrets.
        ports: The machine's ports that lead to it now.
        created: When it was made.
    """

    id: str
    container: str
    name: str
    kind: str
    image: str
    state: str
    config: str
    secrets: str
    ports: tuple[int, ...]
    created: dt.datetime

    @property
    def is_running(self) -> bool:
        """Whether its program runs now."""
        return self.state == _RUNNING


async def find(
    engine: Engine, labels: Labels, name: str | None = None
) -> tuple[Found, ...]:
    """List containers of a namespace, oldest first; all, or those of one name.

    Raises:
        EngineError: The engine is missing, or its answer is no list of containers.
    """
    params = {"all": "1", **labels.filters(name)}
    listed = await engine.send("GET", "containers/json", params=params)
    try:
        found = [_parse(one) for one in listed]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise EngineError(
            f"the engine at {engine.host} lists containers in a way we cannot read",
            hint="update the engine, or aweigh",
        ) from exc
    return tuple(sorted(found, key=lambda one: (one.created, one.container)))


async def orphaned_probes(engine: Engine) -> tuple[str, ...]:
    """Return the containers of short-lived work whose process is dead."""
    params = {"all": "1", "filters": f'{{"label": ["{PROBE_LABEL}"]}}'}
    listed = await engine.send("GET", "containers/json", params=params)
    return tuple(
        str(one["Id"])
        for one in listed
        if holder_is_dead(str((one.get("Labels") or {}).get(HOLDER_LABEL, "")))
    )


async def end_container(engine: Engine, found: Found, grace: float) -> None:
    """Stop a container, kill it after ``grace`` seconds, remove it.

    Raises:
        EngineError: The engine is missing, or refuses; that it is gone is no error.
    """
    try:
        if found.is_running:
            await stop_container(engine, found.id, grace)
    except EngineError as exc:
        if exc.status != _NOT_FOUND:
            raise
    await remove_container(engine, found.id)


def describe(found: Iterable[Found], host: str) -> tuple[Running, ...]:
    """Return the tasks and services that some containers are, by name.

    Args:
        found: Containers of ours.
        host: Where published ports answer.
    """
    named: dict[str, list[Found]] = {}
    for one in found:
        named.setdefault(one.name, []).append(one)
    described = (_describe(name, named[name], host) for name in sorted(named))
    return tuple(one for one in described if one is not None)


def _describe(name: str, all_found: Sequence[Found], host: str) -> Running | None:
    found = [one for one in all_found if one.kind != LOCK_KIND]
    if not found:
        return None
    # While a service is updated, the newest are the ones that are wanted.
    newest = [one for one in found if one.config == found[-1].config]
    up = sum(one.is_running for one in newest)
    ports = next((one.ports for one in found if one.ports), ())
    return Running(
        name=name,
        kind=cast("Kind", found[-1].kind),
        target=TARGET,
        image=newest[-1].image,
        state="updating" if len(found) < len(all_found) else _state(newest),
        replicas=(up, len(newest)),
        url=url_at(host, ports[0]) if ports else None,
        since=newest[0].created,
    )


def _state(found: Sequence[Found]) -> str:
    """Return the state of the replica that is worst off."""
    return next((one.state for one in found if not one.is_running), _RUNNING)


def _parse(listed: Mapping[str, Any]) -> Found:
    labels = listed["Labels"]
    # The same port of IPv6 can be published under another number.
    ports = {
        int(port["PublicPort"])
        for port in listed.get("Ports") or ()
        if port.get("PublicPort") and ":" not in str(port.get("IP", ""))
    }
    return Found(
        id=str(listed["Id"]),
        container=str(listed["Names"][0]).removeprefix("/"),
        name=str(labels[NAME_LABEL]),
        kind=str(labels[KIND_LABEL]),
        image=str(listed["Image"]),
        state=str(listed["State"]),
        config=str(labels.get(CONFIG_LABEL, "")),
        secrets=str(labels.get(SECRETS_LABEL, "")),
        ports=tuple(sorted(ports)),
        created=dt.datetime.fromtimestamp(int(listed["Created"]), dt.UTC),
    )
