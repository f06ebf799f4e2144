"""Watching a service of a swarm until it is well, or given up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.swarm.api import (
    inspect_service,
    node_names,
    tasks_of,
)
from aweigh.backends.engine.target.swarm.faults import (
    TARGET,
    failure,
    is_image_gone,
)
from aweigh.backends.engine.target.swarm.logs import last_lines
from aweigh.errors import DeployError, TargetError
from aweigh.events import Warned

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.swarm.api import Found, SwarmTask
    from aweigh.backends.engine.target.swarm.requests import Change
    from aweigh.events import Listener

__all__ = ["wait_until_well"]

# The swarm forgets an ended task 0.25 s later when its slot has had five of them.
_POLL_SECONDS = 0.1
# A replica that stops for another one to start holds its port for some seconds.
_PENDING_SECONDS = 8.0
_LOG_LINES = 20
_UNDER_WAY = frozenset({"updating", "rollback_started"})
_ENDED_BADLY = frozenset({"failed", "rejected", "complete", "orphaned"})


async def wait_until_well(
    engine: Engine,
    name: str,
    change: Change,
    *,
    known: frozenset[str],
    monitor: float,
    patience: float,
    listener: Listener,
) -> None:
    """Wait until every replica is well, or the swarm has given the change up.

    Args:
        engine: A manager.
        name: The service, as the user knows it.
        change: What was asked for.
        known: Tasks that had ended before it was: how they did is no news.
        monitor: Seconds a replica has to keep running.
        patience: Seconds until all of it has to be done.
        listener: Hears why it takes long.

    Raises:
        ImageGoneError: A node could not get the image.
        DeployError: A replica does not get well, or somebody else changed the service.
        EngineError: The engine is missing, or no manager.
    """
    watch = _Watch(engine, name, change, known, monitor, listener)
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    while not await watch.is_well():
        if clock() > deadline:
            raise await watch.too_late(patience)
        await asyncio.sleep(_POLL_SECONDS)


@dataclass(slots=True)
class _Watch:
    engine: Engine
    name: str
    change: Change
    known: frozenset[str]
    monitor: float
    listener: Listener
    well_since: float | None = field(default=None, init=False)
    told: str = field(default="", init=False)
    waiting: dict[str, float] = field(default_factory=dict, init=False)
    ended_badly: dict[str, SwarmTask] = field(default_factory=dict, init=False)

    async def is_well(self) -> bool:
        """Look once.

        Raises:
            DeployError: It will not be well.
        """
        found = await inspect_service(self.engine, self.change.service)
        if found is None:
            raise self._lost("was removed")
        tasks = await tasks_of(self.engine, self.change.service)
        bad = self._bad(tasks)
        if found.config != self.change.config:
            if not found.update.startswith("rollback"):
                raise self._lost("was changed by another deployment")
            if self._is_back(found, tasks):
                raise await self._unwell(bad, found.update_message)
            return False
        if bad and not self._swarm_watches(found):
            raise await self._unwell(bad, "")
        self._tell_pending(tasks)
        return self._all_run(found, tasks)

    async def too_late(self, patience: float) -> TargetError:
        """Return the error for a change that takes too long."""
        reason = self.told or "its replicas do not get well"
        tasks = await tasks_of(self.engine, self.change.service)
        for task in self._bad(tasks):
            if is_image_gone(task.said):
                return await self._unwell((task,), "")
        log = await self._log(self._bad(tasks) or tuple(tasks))
        return DeployError(
            f"{self.name} was not well after {patience:g} s: {reason}",
            hint="see the lines above; docker service ps --no-trunc says more",
            target=TARGET,
            log=log,
        )

    def _bad(self, tasks: tuple[SwarmTask, ...]) -> tuple[SwarmTask, ...]:
        """Return the new version's tasks that ended badly, also those forgotten."""
        self.ended_badly |= {
            task.id: task
            for task in tasks
            if task.config == self.change.config
            and task.state in _ENDED_BADLY
            and task.id not in self.known
        }
        return tuple(self.ended_badly.values())

    def _swarm_watches(self, found: Found) -> bool:
        """Tell whether the swarm itself rolls back what does not get well."""
        before = self.change.before
        return before is not None and before.config != found.config

    def _is_back(self, found: Found, tasks: tuple[SwarmTask, ...]) -> bool:
        """Tell whether the swarm has brought back the version before."""
        if found.update != "rollback_completed":
            return found.update != "rollback_started"
        running = _running(tasks, found.config)
        return len(running) >= found.replicas

    def _all_run(self, found: Found, tasks: tuple[SwarmTask, ...]) -> bool:
        running = _running(tasks, self.change.config)
        now = asyncio.get_running_loop().time()
        if len(running) != self.change.replicas or found.update in _UNDER_WAY:
            self.well_since = None
            return False
        if found.update == "completed" and self._swarm_watches(found):
            return True
        if self.well_since is None:
            self.well_since = now
        return now - self.well_since >= self.monitor

    def _tell_pending(self, tasks: tuple[SwarmTask, ...]) -> None:
        now = asyncio.get_running_loop().time()
        waiting = {
            task.id: task.said
            for task in tasks
            if task.said
            and task.state == "pending"
            and task.wanted in {"running", "ready"}
        }
        self.waiting = {one: self.waiting.get(one, now) for one in waiting}
        for one, since in self.waiting.items():
            if now - since > _PENDING_SECONDS and waiting[one] != self.told:
                self.told = waiting[one]
                self.listener(
                    Warned(
                        message=f"{self.name} waits for a node that can take it: "
                        f"{self.told}",
                        hint="ask for less (resources), remove what runs, or add a "
                        "node",
                    )
                )
                return

    async def _unwell(self, bad: tuple[SwarmTask, ...], message: str) -> TargetError:
        names = await node_names(self.engine)
        for task in bad:
            if is_image_gone(task.said):
                return failure(self.name, task.said, names.get(task.node, task.node))
        first = bad[0] if bad else None
        reason = message or "it does not get well"
        if first is not None:
            node = names.get(first.node, first.node)
            reason = f"a replica on node {node} ended: {first.said or first.state}"
        kept = "the version before runs again" if self.change.before else "it is gone"
        return DeployError(
            f"{self.name} was not deployed: {reason} ({kept})",
            hint="see its last lines above; run it by hand with `aweigh run`",
            target=TARGET,
            log=await self._log(bad),
        )

    async def _log(self, tasks: tuple[SwarmTask, ...]) -> tuple[str, ...]:
        for task in tasks:
            if lines := await last_lines(self.engine, task.id, _LOG_LINES):
                return lines
        return ()

    def _lost(self, how: str) -> DeployError:
        return DeployError(
            f"{self.name} {how} while it was being deployed",
            hint="let one deploy at a time change it, then deploy again",
            target=TARGET,
        )


def _running(tasks: tuple[SwarmTask, ...], config: str) -> tuple[SwarmTask, ...]:
    return tuple(
        task
        for task in tasks
        if task.state == task.wanted == "running" and task.config == config
    )
