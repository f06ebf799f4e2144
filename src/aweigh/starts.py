"""The calls that start something: run, deploy, serve."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from aweigh.flow.run import RunResult
    from aweigh.flow.serve import Dev
    from aweigh.flow.target import (
        Mount,
        OnLog,
        Resources,
        Service,
        ServiceTarget,
        Target,
        Task,
    )
    from aweigh.flows import Flows
    from aweigh.image.spec import ImageSpec
    from aweigh.parts import Parts

__all__ = ["Starts"]


class Starts:
    """What a session starts; a part of `aweigh.Session`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._flows: Flows | None = None

    async def run(
        self,
        spec: ImageSpec,
        directory: str | Path,
        command: Sequence[str],
        *,
        target: Target | str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        mounts: Sequence[Mount | str] = (),
        timeout: float | None = None,  # noqa: ASYNC109 - of the program
        on_log: OnLog | None = None,
    ) -> RunResult:
        """Run a command with a spec's image and a directory's code, to its end.

        Cancelling stops the program and leaves nothing of it.

        Args:
            spec: What the program needs.
            directory: Where the code is; it becomes the working directory.
            command: Program and arguments; they replace the image's own.
            target: Where to run; None for the settings' own.
            env: Environment variables besides the image's.
            secrets: Files in ``/run/secrets``, by name.
            resources: What it may use.
            mounts: What it sees of the machine: ``/here:/in/container[:ro]``.
            timeout: Seconds the target may take; the program is stopped then.
            on_log: Is given every line that the program writes.

        Raises:
            TargetError: It cannot be started, took too long, or nobody knows how it
                ended. An exit code that is not 0 is no error.
            SpecError: There is no such command, mount or secret.
            AweighError: What `prepare` raises.
        """
        flows = await self._opened()
        work = flows.work(
            command, env=env, secrets=secrets, resources=resources, mounts=mounts
        )
        return await flows.run(
            lambda: self.target(target),
            work,
            spec=spec,
            directory=directory,
            timeout=timeout,
            on_log=on_log,
        )

    async def deploy(
        self,
        spec: ImageSpec,
        directory: str | Path,
        command: Sequence[str],
        *,
        name: str,
        replicas: int = 1,
        ports: Mapping[int, int] | None = None,
        target: Target | str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        mounts: Sequence[Mount | str] = (),
        health_path: str | None = None,
    ) -> Service:
        """Keep a command running as a service; again under its name updates it.

        Cancelling leaves the old version, or the new one being started.

        Args:
            spec: What the program needs.
            directory: Where the code is; it becomes the working directory.
            command: Program and arguments; they replace the image's own.
            name: What the service is called.
            replicas: How many of it run.
            ports: Published ports, with the container's port each leads to.
            target: Where it runs; None for the settings' own.
            env: Environment variables besides the image's.
            secrets: Files in ``/run/secrets``, by name.
            resources: What each replica may use.
            mounts: What each sees of its machine.
            health_path: Answers below 400 on the first container port when a replica
                is well; without one, well is what keeps running.

        Raises:
            DeployError: The new version does not get well; the old one runs again.
            TargetError: The target keeps no services, or refused.
            SpecError: There is no such command, name, port, mount or secret.
            AweighError: What `prepare` raises.
        """
        flows = await self._opened()
        work = flows.work(
            command, env=env, secrets=secrets, resources=resources, mounts=mounts
        )
        wanted = flows.wanted(
            name=name,
            work=work,
            replicas=replicas,
            ports=dict(ports or {}),
            health_path=health_path,
        )
        return await flows.deploy(
            lambda: self.target(target), wanted, spec=spec, directory=directory
        )

    @asynccontextmanager
    async def serve(
        self,
        spec: ImageSpec | Callable[[], ImageSpec],
        directory: str | Path,
        command: Sequence[str],
        *,
        port: int = 8000,
        host: str = "127.0.0.1",
        container_port: int | None = None,
        target: Target | str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        mounts: Sequence[Mount | str] = (),
        health_path: str | None = "/",
        health_timeout: float = 60.0,
        also: Sequence[str | Path] = (),
        on_log: OnLog | None = None,
    ) -> AsyncIterator[Dev]:
        """Serve what is edited, until the block is left; then nothing of it is left.

        This process listens and forwards to the newest version that is healthy. An
        edit starts a version beside it and switches once that answers; no request is
        lost. If it does not get well, the old one stays: see `Dev.outcomes`.

        Args:
            spec: What the program needs, or what reads that anew for each version.
            directory: Where the code is; it becomes the working directory.
            command: Program and arguments; it is told its port in ``PORT``.
            port: Where this process listens; 0 for any port that is free.
            host: The address of this machine to listen on.
            container_port: Where the program listens; None: on ``port``, or 8000.
            target: Where it runs; None for the settings' own.
            env: Environment variables besides the image's.
            secrets: Files in ``/run/secrets``, by name.
            resources: What each version may use.
            mounts: What it sees of the machine: ``/here:/in/container[:ro]``.
            health_path: Any answer below 500 says that a version is well; None: it
                speaks no HTTP, and accepting connections will do.
            health_timeout: Seconds it has until then.
            also: Files and directories whose edits count too.
            on_log: Is given every line of every version.

        Raises:
            DeployError: The first version does not get well.
            TargetError: The target holds no containers, or refused.
            SpecError: There is no such command or port, or the port is taken.
            AweighError: What `prepare` raises, for the first version.
        """
        flows = await self._opened()
        how = flows.serving(
            host=host,
            port=port,
            container_port=container_port,
            health_path=health_path,
            health_timeout=health_timeout,
        )
        work = flows.work(
            command, env=env, secrets=secrets, resources=resources, mounts=mounts
        )
        serving = await flows.serve(
            lambda: self.target(target),
            work,
            how,
            spec=spec,
            directory=directory,
            also=also,
            on_log=on_log,
        )
        async with serving as dev:
            yield dev

    async def task(
        self,
        spec: ImageSpec,
        directory: str | Path,
        command: Sequence[str],
        *,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        resources: Resources | None = None,
        mounts: Sequence[Mount | str] = (),
    ) -> Task:
        """Return what a target would be told, and start nothing: for your own one.

        The task's image exists and has the code in it when this returns.

        Args:
            spec: What the program needs.
            directory: Where the code is; it becomes the working directory.
            command: Program and arguments; they replace the image's own.
            name: What the task is called; None for one that no other task has.
            env: Environment variables besides the image's.
            secrets: Files in ``/run/secrets``, by name.
            resources: What it may use.
            mounts: What it sees of the machine: ``/here:/in/container[:ro]``.

        Raises:
            TargetError: The image stays in a layout, where nothing can run it.
            SpecError: There is no such command, mount or secret.
            AweighError: What `prepare` raises.
        """
        flows = await self._opened()
        work = flows.work(
            command, env=env, secrets=secrets, resources=resources, mounts=mounts
        )
        return await flows.task(work, name=name, spec=spec, directory=directory)

    async def target(self, target: Target | str | None = None) -> Target:
        """Return a target: the settings' own, one by name, or the one that is given.

        Raises:
            SpecError: No target has this name.
            EngineUnavailableError: The engine behind it does not answer.
        """
        if target is None:
            target = self._parts.settings.target
        if isinstance(target, str):
            return await self._parts.backends.target(target)
        return target

    async def services(self, target: Target | str | None = None) -> ServiceTarget:
        """Return a target that keeps services: it lists, reads and removes them.

        Raises:
            TargetError: It keeps none.
            SpecError: No target has this name.
            EngineUnavailableError: The engine behind it does not answer.
        """
        flows = await self._opened()
        return await flows.services(lambda: self.target(target))

    async def _opened(self) -> Flows:
        if self._flows is None:
            self._flows = await self._parts.backends.flows(self._parts)
        return self._flows
