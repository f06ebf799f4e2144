"""A dev loop: each edit is started beside what runs, and replaces it once it answers.

The old version answers until the new one is known to, and goes on if it never does.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aweigh.concurrency.settled import settled
from aweigh.errors import SpecError
from aweigh.flow.deploy import dev_target
from aweigh.flow.forward import Forwarder
from aweigh.flow.versions import Versions
from aweigh.flow.watched import Watched, watched_by
from aweigh.flow.work import task_name

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    from aweigh.errors import ImageGoneError
    from aweigh.events import Listener
    from aweigh.flow.load import Loaded, Loader
    from aweigh.flow.serving import Serving
    from aweigh.flow.target import DevTarget, LogLine, OnLog, Target, Task
    from aweigh.flow.versions import Code, Outcome
    from aweigh.flow.work import Work
    from aweigh.image.spec import ImageSpec
    from aweigh.tree.rules import Rules

__all__ = ["Dev", "DevLoop", "Watcher", "serving"]


class Watcher(Protocol):
    """Tells what is edited."""

    def changes(
        self,
    ) -> AbstractAsyncContextManager[AsyncIterator[frozenset[str]]]:
        """Watch until the block is left; iterate over the paths of what changed."""
        ...


class Dev:
    """A running dev loop."""

    def __init__(self, versions: Versions, url: str) -> None:
        self._versions = versions
        self.url = url

    @property
    def version(self) -> int:
        """Which version answers, counted from 1; those that failed count too."""
        return self._versions.current.number

    @property
    def image(self) -> str:
        """What that version runs."""
        return self._versions.current.image

    async def wait(self) -> None:
        """Serve until cancelled."""
        await asyncio.Event().wait()

    def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Iterate over what comes of the edits from now on."""
        queue: asyncio.Queue[Outcome] = asyncio.Queue()
        self._versions.heard.append(queue)
        return self._told(queue)

    async def _told(
        self, queue: asyncio.Queue[Outcome]
    ) -> AsyncGenerator[Outcome, None]:
        try:
            while True:
                yield await queue.get()
        finally:
            self._versions.heard.remove(queue)


@asynccontextmanager
async def serving(
    how: Serving,
    code: Code,
    target: DevTarget,
    watcher: Watcher,
    *,
    on_log: OnLog,
    listener: Listener,
) -> AsyncIterator[Dev]:
    """Serve until the block is left; then nothing of it is left either.

    Args:
        how: Ports, health, patience.
        code: What is edited. Its tasks' name is only the beginning of what the
            target is told.
        target: Where the versions run.
        watcher: Tells when to build again.
        on_log: Is given each line of each version.
        listener: Hears what comes of each edit.

    Raises:
        AweighError: The first version cannot be built or started.
        DeployError: It does not get healthy.
        SpecError: Somebody else listens on the port.
        TreeError: Nobody can tell what is edited any more.
    """
    forwarder = Forwarder(http=how.health_path is not None)
    async with _listening(forwarder, how) as url, watcher.changes() as changes:
        versions = Versions(
            how,
            code,
            target,
            forwarder=forwarder,
            url=url,
            on_log=on_log,
            listener=listener,
        )
        try:
            await versions.begin()
            async with asyncio.TaskGroup() as group:
                following = group.create_task(versions.follow(changes))
                yield Dev(versions, url)
                following.cancel()
        except BaseExceptionGroup as failures:
            error = _single(failures)
            raise error from error.__cause__
        finally:
            await settled(versions.end())


@asynccontextmanager
async def _listening(forwarder: Forwarder, how: Serving) -> AsyncIterator[str]:
    listening = forwarder.listening(how.host, how.port)
    try:
        port = await listening.__aenter__()
    except OSError as error:
        raise SpecError(
            f"cannot listen on {how.host}:{how.port}: {error.strerror or error}",
            hint="choose another port; 0 takes any that is free",
        ) from error
    try:
        shown = f"[{how.host}]" if ":" in how.host else how.host
        scheme = "tcp" if how.health_path is None else "http"
        yield f"{scheme}://{shown}:{port}"
    finally:
        await listening.__aexit__(None, None, None)


class DevLoop:
    """Serves for a session."""

    def __init__(self, watch: Callable[[Sequence[Watched]], Watcher]) -> None:
        """Serve with a way to watch."""
        self._watch = watch

    @asynccontextmanager
    async def serve(
        self,
        loader: Loader,
        find: Callable[[], Awaitable[Target]],
        work: Work,
        how: Serving,
        *,
        spec: ImageSpec | Callable[[], ImageSpec],
        directory: Path,
        rules: Rules,
        also: Sequence[Path],
        on_log: OnLog | None,
    ) -> AsyncIterator[Dev]:
        """Serve until the block is left.

        Args:
            loader: Makes images exist.
            find: Returns the target.
            work: What to run.
            how: Ports, health, patience.
            spec: The image without the code, or what reads it anew.
            directory: The code.
            rules: What of it counts.
            also: Files and directories whose edits count too.
            on_log: Is given every line.

        Raises:
            TargetError: The target holds no containers.
            AweighError: As `serving`.
        """

        async def find_dev() -> DevTarget:
            return dev_target(await find())

        code = _Edited(loader, work, spec, directory)
        first = await code.read()
        watched = await asyncio.to_thread(
            lambda: [
                Watched(root=directory, rules=rules),
                *map(Watched.at, also),
                *watched_by(first, Path.cwd()),
            ]
        )
        target, _ = await loader.begin(first, directory, find_dev)
        async with serving(
            how,
            code,
            target,
            self._watch(watched),
            on_log=on_log or _unheard,
            listener=loader.listener,
        ) as dev:
            yield dev


class _Edited:
    """A spec and a directory that change under us."""

    def __init__(
        self,
        loader: Loader,
        work: Work,
        spec: ImageSpec | Callable[[], ImageSpec],
        directory: Path,
    ) -> None:
        self._loader = loader
        self._work = work
        self._spec = spec
        self._directory = directory
        self._loaded: Loaded | None = None

    async def read(self) -> ImageSpec:
        """Return the spec as it is now."""
        if callable(self._spec):
            return await asyncio.to_thread(self._spec)
        return self._spec

    async def task(self) -> Task:
        """Make the image exist and say what runs in it."""
        return self._of(await self._loader.load(await self.read(), self._directory))

    async def heal(self, error: ImageGoneError) -> Task:
        """Make the last image exist once more."""
        if self._loaded is None:
            raise error
        return self._of(await self._loader.heal(self._loaded, error))

    def _of(self, loaded: Loaded) -> Task:
        self._loaded = loaded
        return self._work.task(task_name(str(loaded.spec.name)), loaded)


def _unheard(_line: LogLine) -> None:
    """Hear nothing."""


def _single(failure: BaseException) -> BaseException:
    """Return the one error that a group holds, or the group when there are more."""
    while isinstance(failure, BaseExceptionGroup) and len(failure.exceptions) == 1:
        failure = failure.exceptions[0]
    return failure
