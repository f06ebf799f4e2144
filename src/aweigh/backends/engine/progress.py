"""A build's progress: traces become events, and the failing step is remembered."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.engine.text import LineSplitter, clean_line
from aweigh.backends.engine.trace import decode_trace
from aweigh.errors import EngineError
from aweigh.events import Warned
from aweigh.events.build import BuildLogged, BuildStepFinished, BuildStepStarted

if TYPE_CHECKING:
    from collections.abc import Collection

    from aweigh.backends.engine.trace import Caution, Log, Trace, Vertex
    from aweigh.events import Listener

__all__ = ["BuildProgress", "FailedStep"]

# BuildKit's own steps: reading the context and the metadata of images.
_INTERNAL = ("[internal] ", "copy /context ")
# BuildKit ends the other steps with this when one fails.
_COLLATERAL = "context canceled"
_TAIL = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStep:
    """The step that ended a build.

    Attributes:
        name: As BuildKit names it.
        error: What BuildKit says.
        log: Its last lines, cleaned, oldest first.
    """

    name: str
    error: str
    log: tuple[str, ...]


class BuildProgress:
    """Hears the traces of one build; tells a listener.

    Args:
        listener: Who hears the steps and their lines.
        secrets: Texts that are hidden wherever they appear.
    """

    def __init__(self, listener: Listener, secrets: Collection[str] = ()) -> None:
        self._listener = listener
        self._secrets = tuple(secrets)
        self._steps: dict[str, _Step] = defaultdict(_Step)
        self._failed: str | None = None
        self._is_damaged = False

    def feed(self, encoded: str) -> None:
        """Take note of one `moby.buildkit.trace`.

        One that cannot be read is a warning, the first time: the build goes on.
        """
        try:
            trace = decode_trace(encoded)
        except EngineError as exc:
            if not self._is_damaged:
                self._is_damaged = True
                self._listener(Warned(message=str(exc), hint=exc.hint))
            return
        self._note(trace)

    def failure(self) -> FailedStep | None:
        """Return the step that failed, when the traces named one."""
        if self._failed is None:
            return None
        step = self._steps[self._failed]
        self._flush(step)
        return FailedStep(
            name=step.name,
            error=clean_line(step.error, self._secrets),
            log=tuple(step.tail),
        )

    def _note(self, trace: Trace) -> None:
        # A trace may hold a step's last lines together with its end: tell the start,
        # then the lines, then the end.
        for vertex in trace.vertexes:
            self._start(vertex)
        for log in trace.logs:
            self._log(log)
        for vertex in trace.vertexes:
            self._finish(vertex)
        for caution in trace.cautions:
            self._warn(caution)

    def _start(self, vertex: Vertex) -> None:
        step = self._steps[vertex.digest]
        step.name = clean_line(vertex.name, self._secrets)
        began = vertex.started is not None or vertex.cached
        if began and step.state == "new":
            step.state = "running"
            step.started = vertex.started or 0.0
            if not step.is_internal:
                self._listener(BuildStepStarted(step=step.name))

    def _finish(self, vertex: Vertex) -> None:
        step = self._steps[vertex.digest]
        if vertex.error:
            step.error = vertex.error
            if self._failed is None and not vertex.error.endswith(_COLLATERAL):
                self._failed = vertex.digest
        if step.state != "running" or vertex.completed is None:
            return
        self._flush(step)
        step.state = "finished"
        if not step.is_internal:
            seconds = max(0.0, vertex.completed - step.started)
            self._listener(
                BuildStepFinished(step=step.name, cached=vertex.cached, seconds=seconds)
            )

    def _log(self, log: Log) -> None:
        step = self._steps[log.vertex]
        for line in step.streams[log.stream].feed(log.content):
            self._tell(step, line)

    def _flush(self, step: _Step) -> None:
        for splitter in step.streams.values():
            for line in splitter.finish():
                self._tell(step, line)

    def _tell(self, step: _Step, line: str) -> None:
        shown = clean_line(line, self._secrets)
        step.tail.append(shown)
        if not step.is_internal:
            self._listener(BuildLogged(step=step.name, line=shown))

    def _warn(self, caution: Caution) -> None:
        self._listener(
            Warned(
                message=clean_line(caution.short, self._secrets),
                hint=clean_line(caution.url) or "look at the Dockerfile",
            )
        )


class _Step:
    """What is known of one vertex."""

    def __init__(self) -> None:
        self.name = ""
        self.error = ""
        self.state = "new"
        self.started = 0.0
        self.streams: dict[int, LineSplitter] = defaultdict(LineSplitter)
        self.tail: deque[str] = deque(maxlen=_TAIL)

    @property
    def is_internal(self) -> bool:
        return self.name.startswith(_INTERNAL)
