"""The module-level functions: each is a call of a session that they share."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.settings import Settings
from aweigh.sharing import shared_session

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Mapping,
        Sequence,
    )
    from pathlib import Path

    from aweigh.bundle.bundle import Bundle
    from aweigh.bundle.form import FormName
    from aweigh.flow.explain import Plan
    from aweigh.flow.prepare import Ready
    from aweigh.flow.run import RunResult
    from aweigh.flow.serve import Dev
    from aweigh.flow.target import LogLine, Mount, OnLog, Resources, Service, Target
    from aweigh.image.image import Image
    from aweigh.image.spec import ImageSpec

__all__ = [
    "deploy",
    "ensure_image",
    "explain",
    "fetch_bundle",
    "prepare",
    "run",
    "serve",
    "upload_bundle",
]


async def ensure_image(
    spec: ImageSpec,
    *,
    platforms: Sequence[str] | None = None,
    rebuild: bool = False,
    upgrade: bool = False,
    settings: Settings | None = None,
) -> Image:
    """Return the image of a spec; see `Session.ensure_image`."""
    async with shared_session(settings) as session:
        return await session.ensure_image(
            spec, platforms=platforms, rebuild=rebuild, upgrade=upgrade
        )


async def upload_bundle(
    directory: str | Path,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow: bool = False,
    form: FormName = "packs",
    settings: Settings | None = None,
) -> Bundle:
    """Return the bundle of a directory; see `Session.upload_bundle`."""
    async with shared_session(settings) as session:
        return await session.upload_bundle(
            directory, include=include, exclude=exclude, follow=follow, form=form
        )


async def fetch_bundle(
    uri: str, destination: str | Path, *, settings: Settings | None = None
) -> Path:
    """Put a bundle's files somewhere; see `Session.fetch_bundle`."""
    async with shared_session(settings) as session:
        return await session.fetch_bundle(uri, destination)


async def prepare(
    spec: ImageSpec, directory: str | Path, *, settings: Settings | None = None
) -> Ready:
    """Make image and bundle exist; see `Session.prepare`."""
    async with shared_session(settings) as session:
        return await session.prepare(spec, directory)


async def explain(
    spec: ImageSpec,
    directory: str | Path | None = None,
    *,
    settings: Settings | None = None,
) -> Plan:
    """Say what `prepare` would do; see `Session.explain`."""
    async with shared_session(settings) as session:
        return await session.explain(spec, directory)


async def run(
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
    settings: Settings | None = None,
) -> RunResult:
    """Run a command to its end; see `Session.run`."""
    async with shared_session(settings) as session:
        return await session.run(
            spec,
            directory,
            command,
            target=target,
            env=env,
            secrets=secrets,
            resources=resources,
            mounts=mounts,
            timeout=timeout,
            on_log=on_log,
        )


async def deploy(
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
    settings: Settings | None = None,
) -> Service:
    """Keep a command running as a service; see `Session.deploy`."""
    if settings is None:
        settings = await asyncio.to_thread(Settings.load)
    async with shared_session(settings) as session:
        service = await session.deploy(
            spec,
            directory,
            command,
            name=name,
            replicas=replicas,
            ports=ports,
            target=target,
            env=env,
            secrets=secrets,
            resources=resources,
            mounts=mounts,
            health_path=health_path,
        )
    return _Deployed(
        name=service.name,
        image=service.image,
        url=service.url,
        replicas=service.replicas,
        target=target,
        settings=settings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deployed:
    """A service that outlives the session it was deployed in: each call has one."""

    name: str
    image: str
    url: str | None
    replicas: int
    target: Target | str | None
    settings: Settings

    async def logs(self, *, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """Iterate over what all replicas write; close the generator when done."""
        async with shared_session(self.settings) as session:
            target = await session.services(self.target)
            async with aclosing(target.logs(self.name, follow=follow)) as lines:
                async for line in lines:
                    yield line

    async def remove(self) -> None:
        """Stop it and remove everything that belongs to it."""
        async with shared_session(self.settings) as session:
            target = await session.services(self.target)
            await target.remove(self.name)


@asynccontextmanager
async def serve(
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
    settings: Settings | None = None,
) -> AsyncIterator[Dev]:
    """Serve what is edited; see `Session.serve`."""
    async with (
        shared_session(settings) as session,
        session.serve(
            spec,
            directory,
            command,
            port=port,
            host=host,
            container_port=container_port,
            target=target,
            env=env,
            secrets=secrets,
            resources=resources,
            mounts=mounts,
            health_path=health_path,
            health_timeout=health_timeout,
            also=also,
            on_log=on_log,
        ) as dev,
    ):
        yield dev
