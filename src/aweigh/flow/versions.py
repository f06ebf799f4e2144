"""The versions of a program in a dev loop: one answers, others come and leave."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from aweigh.concurrency.settled import settled
from aweigh.concurrency.together import leaves
from aweigh.errors import AweighError, DeployError, ImageGoneError, TargetError
from aweigh.events import Warned
from aweigh.events.flow import ServeEnded, ServeKept, ServeSwitched
from aweigh.flow.health import ended, wait_until_healthy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import TypeAlias

    from aweigh.events import Listener
    from aweigh.flow.forward import Forwarder
    from aweigh.flow.serving import Serving
    from aweigh.flow.target import DevTarget, Instance, LogLine, OnLog, Task
    from aweigh.flow.upstream import Upstream

    Outcome: TypeAlias = ServeSwitched | ServeKept | ServeEnded

__all__ = ["Code", "Versions"]

_LAST_LINES: Final = 20
# One edit may be heard of twice: what failed a moment ago is not tried again for that.
_ECHO: Final = 1.0
# Servers listen on 127.0.0.1 and on a port of their own choice unless told otherwise.
# These say it to those that read variables; PORT is for all others.
_HOSTS: Final = (
    "FLASK_RUN_HOST",
    "GRADIO_SERVER_NAME",
    "STREAMLIT_SERVER_ADDRESS",
    "UVICORN_HOST",
)
_PORTS: Final = (
    "FLASK_RUN_PORT",
    "GRADIO_SERVER_PORT",
    "STREAMLIT_SERVER_PORT",
    "UVICORN_PORT",
)


class Code(Protocol):
    """What is edited, as something that a target can start."""

    async def task(self) -> Task:
        """Make an image exist, with the code as it is now, and say what runs in it.

        Equal images are equal versions.
        """
        ...

    async def heal(self, error: ImageGoneError, /) -> Task:
        """Do the same once more for an image that a target found missing."""
        ...


@dataclass(slots=True)
class _Version:
    """A version that was started."""

    number: int
    image: str
    instance: Instance
    upstream: Upstream
    log: deque[str]
    guard: asyncio.Task[None] | None = None
    is_over: bool = False


class Versions:
    """The versions: one that answers, one that is to, and those that are leaving."""

    def __init__(
        self,
        how: Serving,
        code: Code,
        target: DevTarget,
        *,
        forwarder: Forwarder,
        url: str,
        on_log: OnLog,
        listener: Listener,
    ) -> None:
        self.heard: list[asyncio.Queue[Outcome]] = []
        self._how = how
        self._code = code
        self._target = target
        self._forwarder = forwarder
        self._url = url
        self._on_log = on_log
        self._listener = listener
        self._current: _Version | None = None
        self._number = 0
        self._edited = asyncio.Event()
        self._failed = ("", 0.0)
        self._starting: tuple[str, asyncio.Task[None]] | None = None
        self._leaving: dict[asyncio.Task[None], _Version] = {}

    @property
    def current(self) -> _Version:
        """The version that answers."""
        if self._current is None:
            raise AssertionError
        return self._current

    async def begin(self) -> None:
        """Start the first version; what is wrong with it is the caller's to know."""
        self._number = 1
        began = time.monotonic()
        await self._start(await self._code.task(), self._number, began)

    async def follow(self, changes: AsyncIterator[frozenset[str]]) -> None:
        """Do for each edit what `begin` did, until cancelled."""
        # An edit may have come after the first version was read.
        self._edited.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._improve(group))
            async for _ in changes:
                self._edited.set()

    async def end(self) -> None:
        """Stop everything."""
        if self._current is not None:
            self._leave(self._current)
        for version in self._leaving.values():
            version.upstream.hurry()
        await asyncio.gather(*self._leaving)

    async def _improve(self, group: asyncio.TaskGroup) -> None:
        """Start what is edited; what is newer takes the place of what is not well yet.

        A build is not given up for that: what it made so far is of use to the next.
        """
        while True:
            await self._edited.wait()
            self._edited.clear()
            began = time.monotonic()
            try:
                task = await self._code.task()
            except* AweighError as failures:
                await self._give_up()
                self._number += 1
                for failure in leaves(failures):
                    self._keep(failure, self._number, began)
            else:
                await self._replace(task, began, group)

    async def _replace(
        self, task: Task, began: float, group: asyncio.TaskGroup
    ) -> None:
        if self._starting is not None and not self._starting[1].done():
            if self._starting[0] == task.image:
                return
            await self._give_up()
        failed, at = self._failed
        again = task.image == failed and began - at < _ECHO
        # The same code is started again if its program is gone.
        same = task.image == self.current.image and not self.current.is_over
        if not same and not again:
            self._number += 1
            trying = group.create_task(self._try(task, self._number, began))
            self._starting = (task.image, trying)

    async def _give_up(self) -> None:
        if self._starting is not None:
            self._starting[1].cancel()
            await asyncio.gather(self._starting[1], return_exceptions=True)

    async def _try(self, task: Task, number: int, began: float) -> None:
        try:
            await self._start(task, number, began)
        except AweighError as error:
            self._failed = (task.image, time.monotonic())
            self._keep(error, number, began)

    async def _start(self, task: Task, number: int, began: float) -> None:
        log: deque[str] = deque(maxlen=_LAST_LINES)

        def hear(line: LogLine) -> None:
            log.append(line.text)
            self._on_log(line)

        try:
            instance = await self._begun(task, number, hear)
        except ImageGoneError as error:
            task = await self._code.heal(error)
            instance = await self._begun(task, number, hear)
        except TargetError as error:
            # It may have ended at once, and have said why.
            if not log:
                raise
            raise DeployError(
                str(error), hint=error.hint, target=error.target, log=log
            ) from error
        await self._judge(instance, log)
        old = self._current
        upstream = self._forwarder.switch(instance.address)
        self._current = _Version(number, task.image, instance, upstream, log)
        self._current.guard = asyncio.create_task(self._guard(self._current))
        if old is not None:
            self._leave(old)
        seconds = time.monotonic() - began
        self._tell(
            ServeSwitched(
                version=number, image=task.image, url=self._url, seconds=seconds
            )
        )

    async def _judge(self, instance: Instance, log: Sequence[str]) -> None:
        """Wait until it is well; what is not, is stopped."""
        try:
            await wait_until_healthy(
                instance,
                self._how.health_path,
                within=self._how.health_timeout,
                target=self._target.name,
                log=log,
            )
        except BaseException:
            # It never answered anybody: nothing is lost by not asking it to end.
            await settled(instance.stop(grace=0.0))
            raise

    async def _begun(self, task: Task, number: int, on_log: OnLog) -> Instance:
        port = self._how.inner_port
        told = replace(
            task,
            name=f"{task.name}-v{number}",
            env={**_listening_on(port), **task.env},
        )
        return await self._target.start(told, on_log, port=port)

    def _keep(self, error: AweighError, number: int, began: float) -> None:
        self._tell(
            ServeKept(
                version=number,
                kept=self.current.number,
                reason=str(error),
                hint=error.hint,
                seconds=time.monotonic() - began,
            )
        )

    async def _guard(self, version: _Version) -> None:
        """Say when a program that answered ends."""
        try:
            code = await version.instance.wait()
        except AweighError as error:
            version.upstream.gone = str(error)
            version.is_over = True
            return
        version.upstream.gone = str(ended(code, target=self._target.name, log=()))
        version.is_over = True
        if version is self._current:
            self._tell(ServeEnded(version=version.number, exit_code=code))

    def _leave(self, version: _Version) -> None:
        """Stop a version after its last answer, in the background."""
        leaving = asyncio.create_task(self._stop(version))
        self._leaving[leaving] = version
        leaving.add_done_callback(self._leaving.pop)

    async def _stop(self, version: _Version) -> None:
        await version.upstream.drain(self._how.drain)
        if version.guard is not None:
            version.guard.cancel()
        try:
            await version.instance.stop(grace=self._how.grace)
        except AweighError as error:
            self._listener(Warned(message=str(error), hint=error.hint))

    def _tell(self, outcome: Outcome) -> None:
        self._listener(outcome)
        for queue in self.heard:
            queue.put_nowait(outcome)


def _listening_on(port: int) -> dict[str, str]:
    """Tell servers to listen on all addresses of their container, and where."""
    everywhere = dict.fromkeys(_HOSTS, "0.0.0.0")  # noqa: S104
    return everywhere | dict.fromkeys(_PORTS, str(port))
