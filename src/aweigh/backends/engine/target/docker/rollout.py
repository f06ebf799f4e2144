"""One change of a service: new replicas started and judged, old ones removed after."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.backends.engine.containers import remove_container
from aweigh.backends.engine.target.docker.container import (
    PublishedPort,
    Surroundings,
    container_document,
)
from aweigh.backends.engine.target.docker.faults import TARGET, target_faults
from aweigh.backends.engine.target.docker.found import end_container, find
from aweigh.backends.engine.target.docker.health import HealthCheck, find_unwell
from aweigh.backends.engine.target.docker.logs import last_lines
from aweigh.backends.engine.target.docker.program import stop_container
from aweigh.backends.engine.target.docker.secrets import read_secrets, write_secrets
from aweigh.backends.engine.target.labels import container_name
from aweigh.concurrency.settled import settled
from aweigh.errors import DeployError, EngineError, TargetError
from aweigh.memory import record_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.docker.found import Found
    from aweigh.backends.engine.target.docker.health import Unwell
    from aweigh.backends.engine.target.docker.reach import EngineTraits
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.flow.target import Deployment

__all__ = ["Rollout", "Step", "check_deployable"]

_GRACE = 10.0
_SHOWN_LINES = 20
_RESTART = "unless-stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What there is to do about a service.

    Attributes:
        keep: Replicas that are as wanted.
        remove: Containers that are to go, once the new ones are well.
        missing: How many replicas have to be started.
    """

    keep: tuple[Found, ...]
    remove: tuple[Found, ...]
    missing: int

    @property
    def is_nothing(self) -> bool:
        """Whether all is as wanted."""
        return not self.missing and not self.remove


def check_deployable(wanted: Deployment) -> None:
    """See that one engine can do what is wanted.

    Raises:
        TargetError: It cannot.
    """
    fixed = sorted(port for port in wanted.ports if port)
    if wanted.replicas > 1 and fixed:
        raise _refused(
            wanted,
            f"{wanted.replicas} replicas cannot share port {fixed[0]} of one machine",
            hint="deploy it to a swarm (target swarm), which spreads requests; or "
            "publish port 0, and each replica gets one of its own",
        )
    if wanted.replicas < 1:
        raise _refused(
            wanted,
            f"{wanted.replicas} replicas are none",
            hint=f"to stop it: aweigh stop {wanted.name}",
        )
    if wanted.health_path is not None and not wanted.ports:
        raise _refused(
            wanted,
            f"{wanted.health_path} cannot be asked for: no port is published",
            hint="publish the port it answers on; 0:8000 takes any free one",
        )


def _refused(wanted: Deployment, why: str, *, hint: str) -> TargetError:
    return TargetError(
        f"{wanted.name} cannot be deployed: {why}", hint=hint, target=TARGET
    )


class Rollout:
    """Brings one service to what is wanted of it.

    Args:
        engine: Where it runs.
        labels: The namespace it is in.
        traits: The engine's.
        wanted: What is wanted.
        within: Seconds in which new replicas have to get well.
    """

    def __init__(
        self,
        engine: Engine,
        labels: Labels,
        traits: EngineTraits,
        wanted: Deployment,
        within: float,
    ) -> None:
        self._engine = engine
        self._labels = labels
        self._traits = traits
        self._wanted = wanted
        self._within = within
        self._ports = tuple(
            PublishedPort(published=published, container=inside)
            for published, inside in wanted.ports.items()
        )
        self._secrets = json.dumps(sorted(wanted.task.secrets))
        self._config = record_key(
            "service", json.dumps(self._document(""), sort_keys=True)
        )

    async def look(self) -> Step:
        """Compare what runs with what is wanted.

        Raises:
            EngineError: The engine is missing.
        """
        found = await find(self._engine, self._labels, self._wanted.name)
        replicas = [one for one in found if one.kind == "deploy"]
        right = [one for one in replicas if await self._is_right(one)]
        keep = tuple(right[: self._wanted.replicas])
        return Step(
            keep=keep,
            remove=tuple(one for one in replicas if one not in keep),
            missing=self._wanted.replicas - len(keep),
        )

    async def do(self, step: Step, *, network: str, user: str) -> None:
        """Start what is missing beside what is there, judge it, remove the rest.

        Where old replicas hold a port that the new ones need, they are stopped first
        and started again if the new ones fail. Cancelling does the same as failing.

        Raises:
            DeployError: A new replica does not get well.
            EngineError: The engine is missing, or refuses.
        """
        new = [
            container_name(
                self._labels.namespace, self._wanted.name, uuid.uuid4().hex[:6]
            )
            for _ in range(step.missing)
        ]
        stopped: list[Found] = []
        try:
            for container in new:
                await settled(self._create(container, network, user))
            for one in step.remove:
                if new and one.is_running and self._is_in_the_way(one):
                    stopped.append(one)
                    # The engine would go on stopping it while we start it again.
                    await settled(stop_container(self._engine, one.id, _GRACE))
            await self._start(new, has_old=bool(step.keep or step.remove))
        except BaseException:
            await settled(self._undo(new, stopped))
            raise
        await settled(self._clear(step.remove))

    async def _start(self, new: Sequence[str], *, has_old: bool) -> None:
        for container in new:
            await self._engine.send("POST", f"containers/{container}/start")
        check = HealthCheck(
            port=next(iter(self._wanted.ports.values()), 0),
            path=self._wanted.health_path,
            within=self._within,
        )
        unwell = await find_unwell(self._engine, self._traits, new, check)
        if unwell is not None:
            raise await self._failure(unwell, has_old=has_old)
        for container in new:
            policy = {"RestartPolicy": {"Name": _RESTART}}
            await self._engine.send(
                "POST", f"containers/{container}/update", document=policy
            )

    async def _create(self, container: str, network: str, user: str) -> None:
        await self._engine.send(
            "POST",
            "containers/create",
            params={"name": container},
            document=self._document(network),
        )
        await write_secrets(
            self._engine, container, self._wanted.task.secrets, user=user
        )

    async def _undo(self, new: Sequence[str], stopped: Sequence[Found]) -> None:
        for container in new:
            # What led here is the fault to see; `aweigh stop` finds what is left.
            with suppress(EngineError):
                await remove_container(self._engine, container)
        for one in stopped:
            with target_faults(f"{one.container} cannot be started again"):
                await self._engine.send("POST", f"containers/{one.id}/start")

    async def _clear(self, old: Sequence[Found]) -> None:
        await asyncio.gather(*(end_container(self._engine, one, _GRACE) for one in old))

    async def _is_right(self, one: Found) -> bool:
        if one.config != self._config or not one.is_running:
            return False
        # Only what was judged to be well is ever restarted by the engine.
        found = await self._engine.fetch(f"containers/{one.id}/json") or {}
        policy = (found.get("HostConfig") or {}).get("RestartPolicy") or {}
        if policy.get("Name") != _RESTART:
            return False
        secrets = self._wanted.task.secrets
        return not secrets or await read_secrets(self._engine, one.id) == dict(secrets)

    def _is_in_the_way(self, one: Found) -> bool:
        return bool({port for port in self._wanted.ports if port} & set(one.ports))

    async def _failure(self, unwell: Unwell, *, has_old: bool) -> DeployError:
        name = self._wanted.name
        kept = "the version before it is kept" if has_old else "it was removed"
        return DeployError(
            f"the new version of {name} {unwell.reason}; {kept}",
            hint="its last lines say more; try the same command with `aweigh run`",
            target=TARGET,
            log=await last_lines(self._engine, unwell.container, _SHOWN_LINES),
        )

    def _document(self, network: str) -> dict[str, object]:
        """Return the request for a replica; without a network, what identifies it."""
        name = self._wanted.name
        labels = (
            self._labels.of("deploy", name, config=self._config, secrets=self._secrets)
            if network
            else {"secrets": self._secrets}
        )
        around = Surroundings(
            network=network,
            labels=labels,
            init=self._traits.has_init,
            aliases=(name,),
            ports=self._ports,
        )
        return container_document(replace(self._wanted.task, name=name), around)
