"""Bringing a service of a swarm to what is wanted, or back to what it was."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.swarm.api import find_services, tasks_of
from aweigh.backends.engine.target.swarm.faults import (
    failure,
    gone,
    not_startable,
    took_another_turn,
)
from aweigh.backends.engine.target.swarm.network import (
    ensure_overlay,
    has_ingress,
    remove_overlay,
)
from aweigh.backends.engine.target.swarm.removal import remove_service
from aweigh.backends.engine.target.swarm.requests import (
    Change,
    roll_back,
    send_deployment,
    send_replicas,
)
from aweigh.backends.engine.target.swarm.spec import Surroundings
from aweigh.backends.engine.target.swarm.watch import wait_until_well
from aweigh.errors import DeployError, EngineError, ImageGoneError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels
    from aweigh.backends.engine.target.swarm.api import Found, Manager
    from aweigh.backends.engine.target.swarm.secrets import SwarmSecrets
    from aweigh.backends.engine.target.swarm.spec import Publish
    from aweigh.events import Listener
    from aweigh.flow.target import Deployment

__all__ = ["Rollouts"]

_TRIES = 60
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """Changes the services of one namespace.

    Attributes:
        engine: A manager.
        labels: The namespace's.
        secrets: The namespace's.
        listener: Hears why something takes long.
        monitor: Seconds that a new replica has to keep running to be well.
        patience: Seconds until a change has to be done.
    """

    engine: Engine
    labels: Labels
    secrets: SwarmSecrets
    listener: Listener
    monitor: float
    patience: float

    async def deploy(
        self, wanted: Deployment, manager: Manager, headers: Mapping[str, str]
    ) -> Found | None:
        """Bring a service to what is wanted; return it.

        Raises:
            ImageGoneError: A node could not get the image.
            DeployError: It does not get well; the version before runs again.
            EngineError: The engine is missing, no manager, or refuses.
        """
        # Before it begins: the swarm may be done with a bad version at the first look.
        known = await self._ended(await self.find(wanted.name))
        change = await self._begin(wanted, manager, headers)
        try:
            await self._wait(wanted.name, change, known)
        except (DeployError, ImageGoneError) as error:
            await self._undo(wanted.name, change)
            # The swarm may have forgotten the task that said so.
            image = wanted.task.image
            if isinstance(error, DeployError) and await self._is_gone(image, headers):
                said = f"No such image: {image}"
                raise failure(wanted.name, said, "") from error
            raise
        if change.before is not None:
            await self.secrets.remove(change.before.secrets)
        return await self.find(wanted.name)

    async def scale(self, name: str, replicas: int) -> None:
        """Change how many replicas a service has, and wait until they are well.

        Raises:
            TargetError: There is no such service, or it does not get well.
            EngineError: The engine is missing, no manager, or refuses.
        """
        for _ in range(_TRIES):
            found = await self.find(name)
            if found is None:
                raise gone(name)
            known = await self._ended(found)
            try:
                await send_replicas(self.engine, found, replicas)
            except EngineError as exc:
                if not took_another_turn(exc):
                    raise
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            change = Change(
                service=found.id, config=found.config, replicas=replicas, before=found
            )
            await self._wait(name, change, known)
            return
        raise not_startable(f"{name} is being changed all the time", hint="try again")

    async def find(self, name: str) -> Found | None:
        """Return the deployed service of a name."""
        found = await find_services(self.engine, self.labels, name)
        return next((one for one in found if one.kind == "deploy"), None)

    async def _begin(
        self, wanted: Deployment, manager: Manager, headers: Mapping[str, str]
    ) -> Change:
        """Have the swarm begin; again when somebody else changes the same."""
        publish: Publish = "ingress" if await has_ingress(self.engine) else "host"
        for _ in range(_TRIES):
            before = await self.find(wanted.name)
            used = before.secrets if before else ()
            secrets = await self.secrets.reuse(wanted.name, wanted.task.secrets, used)
            around = Surroundings(
                labels=self.labels,
                secrets=secrets,
                network=await ensure_overlay(self.engine, self.labels),
                init=manager.has_init,
                gpu_kind=manager.gpu_kind,
                publish=publish,
                monitor=self.monitor,
            )
            change = await send_deployment(self.engine, wanted, around, before, headers)
            if change is not None:
                return change
            await self.secrets.remove({one.id for one in secrets} - set(used))
            await asyncio.sleep(_RETRY_SECONDS)
        raise not_startable(
            f"{wanted.name} is being changed all the time",
            hint="let one deploy at a time change it",
        )

    async def _is_gone(self, image: str, headers: Mapping[str, str]) -> bool:
        """Have the engine ask the registry; no answer is no proof."""
        try:
            await self.engine.send("GET", f"distribution/{image}/json", headers=headers)
        except EngineError as error:
            return error.status == HTTPStatus.NOT_FOUND
        return False

    async def _ended(self, found: Found | None) -> frozenset[str]:
        """Return the tasks of a service that have ended."""
        if found is None:
            return frozenset()
        tasks = await tasks_of(self.engine, found.id)
        return frozenset(task.id for task in tasks if task.has_ended)

    async def _wait(self, name: str, change: Change, known: frozenset[str]) -> None:
        await wait_until_well(
            self.engine,
            name,
            change,
            known=known,
            monitor=self.monitor,
            patience=self.patience,
            listener=self.listener,
        )

    async def _undo(self, name: str, change: Change) -> None:
        """Leave the old version, or nothing where there was none."""
        found = await self.find(name)
        if found is None or found.id != change.service:
            return
        if found.config == change.config:
            if change.before is None:
                await remove_service(self.engine, found.id)
                await self.secrets.remove_of(name)
                await remove_overlay(self.engine, self.labels)
                return
            if change.before.config != change.config:
                await self._return_to(change.before, found)
        # Those of the version that is there are in use, and stay.
        await self.secrets.remove_of(name)

    async def _return_to(self, before: Found, now: Found) -> None:
        known = await self._ended(now)
        await roll_back(self.engine, now.id)
        change = Change(
            service=now.id, config=before.config, replicas=before.replicas, before=now
        )
        # Whatever is wrong with the old version, the fault of the new one is told.
        with suppress(DeployError, ImageGoneError):
            await self._wait(before.name, change, known)
