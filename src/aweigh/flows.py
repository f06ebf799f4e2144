"""What starts something, wired for one session; imported when that is first asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.bundle.scanner import bundle_rules
from aweigh.flow.code import CodeImages
from aweigh.flow.deploy import Wanted, deploy, service_target
from aweigh.flow.load import Loader
from aweigh.flow.run import run
from aweigh.flow.serving import Serving
from aweigh.flow.work import Work, task_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from aweigh.flow.run import RunResult
    from aweigh.flow.serve import Dev
    from aweigh.flow.target import OnLog, Service, ServiceTarget, Target, Task
    from aweigh.image.spec import ImageSpec
    from aweigh.parts import Parts

    Find = Callable[[], Awaitable[Target]]

__all__ = ["Flows"]


class Flows:
    """The flows of a session.

    Attributes:
        work: Says what is to run.
        wanted: Says which service is wanted.
        serving: Says how to serve.
        loader: Makes one image of a spec and a directory.
    """

    work = staticmethod(Work.of)
    wanted = Wanted
    serving = Serving

    def __init__(self, parts: Parts) -> None:
        """Wire the flows; nothing is opened yet."""
        settings = parts.settings
        self._parts = parts
        self.loader = Loader(
            prepare=parts.prepare,
            images=parts.images,
            codes=CodeImages(
                destination=parts.destination,
                directory=settings.code_dir,
                compression=settings.compression,
                policy=parts.policy,
                tools=parts.backends,
                flights=parts.code_flights,
                locks=parts.locks,
                listener=parts.listener,
                clock=parts.clock,
            ),
            memory=parts.memory,
            listener=parts.listener,
        )

    async def run(
        self,
        find: Find,
        work: Work,
        *,
        spec: ImageSpec,
        directory: str | Path,
        timeout: float | None,  # noqa: ASYNC109 - of the program
        on_log: OnLog | None,
    ) -> RunResult:
        """Run a command to its end; see `aweigh.flow.run`."""
        return await run(
            self.loader,
            find,
            work,
            spec=spec,
            directory=directory,
            timeout=timeout,
            on_log=on_log,
        )

    async def deploy(
        self, find: Find, wanted: Wanted, *, spec: ImageSpec, directory: str | Path
    ) -> Service:
        """Bring a service to a version; see `aweigh.flow.deploy`."""
        return await deploy(self.loader, find, wanted, spec=spec, directory=directory)

    async def serve(
        self,
        find: Find,
        work: Work,
        how: Serving,
        *,
        spec: ImageSpec | Callable[[], ImageSpec],
        directory: str | Path,
        also: Sequence[str | Path],
        on_log: OnLog | None,
    ) -> AbstractAsyncContextManager[Dev]:
        """Return what serves while it is entered; see `aweigh.flow.serve`."""
        settings = self._parts.settings
        own = (settings.cache_dir, settings.data_dir)
        root = Path(directory)
        rules = await asyncio.to_thread(bundle_rules, root, (), (), own)
        loop = await self._parts.backends.dev_loop()
        return loop.serve(
            self.loader,
            find,
            work,
            how,
            spec=spec,
            directory=root,
            rules=rules,
            also=[Path(one) for one in also],
            on_log=on_log,
        )

    async def task(
        self,
        work: Work,
        *,
        name: str | None,
        spec: ImageSpec,
        directory: str | Path,
    ) -> Task:
        """Make the image of a task exist, code included, and start nothing."""
        loaded = await self.loader.load(spec, directory)
        return work.task(name or task_name(spec.name), loaded)

    async def services(self, find: Find) -> ServiceTarget:
        """Return a target that keeps services."""
        return service_target(await find())
