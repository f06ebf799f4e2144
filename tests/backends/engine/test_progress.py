"""Traces as events, in order, cleaned; and which step failed."""

import pytest

from aweigh.backends.engine.progress import BuildProgress
from aweigh.events import BuildLogged, BuildStepFinished, BuildStepStarted, Warned
from tests.backends.engine.doubles import Heard
from tests.backends.engine.test_trace import encode
from tests.backends.engine.test_wire import field


def vertex(
    name: str,
    *,
    start: int | None = None,
    end: int | None = None,
    cached: bool = False,
    error: str = "",
) -> bytes:
    """Return a vertex whose digest is its name."""
    fields = field(1, name.encode()) + field(3, name.encode())
    if cached:
        fields += field(4, 1)
    if start is not None:
        fields += field(5, field(1, start))
    if end is not None:
        fields += field(6, field(1, end))
    return field(1, fields + field(7, error.encode()))


def log(name: str, content: bytes, stream: int = 1) -> bytes:
    """Return a log of the vertex of this name."""
    return field(3, field(1, name.encode()) + field(3, stream) + field(4, content))


def test_a_step_starts_writes_and_ends(heard: Heard) -> None:
    """Lines are joined over messages, and the last one needs no line break."""
    progress = BuildProgress(heard)
    progress.feed(encode(vertex("[1/2] RUN x", start=10)))
    progress.feed(encode(log("[1/2] RUN x", b"one\ntw")))
    progress.feed(encode(log("[1/2] RUN x", b"o\nthree")))
    progress.feed(encode(vertex("[1/2] RUN x", start=10, end=12)))
    progress.feed(encode(vertex("[1/2] RUN x", start=13, end=14)))
    assert heard.events == [
        BuildStepStarted(step="[1/2] RUN x"),
        BuildLogged(step="[1/2] RUN x", line="one"),
        BuildLogged(step="[1/2] RUN x", line="two"),
        BuildLogged(step="[1/2] RUN x", line="three"),
        BuildStepFinished(step="[1/2] RUN x", cached=False, seconds=2.0),
    ]


def test_the_streams_of_a_step_are_not_mixed(heard: Heard) -> None:
    """Half a line of output does not swallow a line of error output."""
    progress = BuildProgress(heard)
    progress.feed(encode(vertex("a", start=1), log("a", b"ou"), log("a", b"err\n", 2)))
    progress.feed(encode(log("a", b"t\n")))
    assert [event.line for event in heard.of(BuildLogged)] == ["err", "out"]


def test_cached_steps_are_told_once(heard: Heard) -> None:
    """A cached step starts and ends at once, also when it is repeated."""
    progress = BuildProgress(heard)
    for _ in range(2):
        progress.feed(encode(vertex("[2/2] RUN y", start=5, end=5, cached=True)))
    assert heard.events == [
        BuildStepStarted(step="[2/2] RUN y"),
        BuildStepFinished(step="[2/2] RUN y", cached=True, seconds=0.0),
    ]


def test_internal_steps_are_silent_unless_they_fail(heard: Heard) -> None:
    """BuildKit's own steps are no events, but can be the failing one."""
    progress = BuildProgress(heard)
    name = "[internal] load metadata for docker.io/library/x:1"
    progress.feed(encode(vertex(name, start=1, end=2), log(name, b"resolving\n")))
    assert heard.events == []
    progress.feed(encode(vertex(name, start=1, end=2, error="not found")))
    failed = progress.failure()
    assert failed is not None
    assert (failed.name, failed.error) == (name, "not found")
    assert failed.log == ("resolving",)


def test_the_first_failure_is_the_cause(heard: Heard) -> None:
    """Steps that were stopped because another failed are not blamed."""
    progress = BuildProgress(heard)
    assert progress.failure() is None
    lines = b"".join(b"line %d\n" % number for number in range(30)) + b"last"
    progress.feed(
        encode(
            vertex("other", start=1, end=2, error="x: context canceled"),
            vertex("cause", start=1),
            log("cause", lines),
        )
    )
    progress.feed(encode(vertex("cause", start=1, end=2, error="exit code: 1")))
    progress.feed(encode(vertex("later", start=1, end=2, error="exit code: 2")))
    failed = progress.failure()
    assert failed is not None
    assert (failed.name, failed.error) == ("cause", "exit code: 1")
    assert failed.log == (*(f"line {number}" for number in range(11, 30)), "last")


def test_secrets_and_escapes_are_not_shown(heard: Heard) -> None:
    """Names, lines and errors are cleaned."""
    progress = BuildProgress(heard, ["s3cret"])
    name = "RUN curl https://me:pw@host/s3cret"
    progress.feed(
        encode(
            vertex(name, start=1, end=2, error="bad s3cret"),
            log(name, b"\x1b[31mred s3cret\x1b[0m\n"),
        )
    )
    failed = progress.failure()
    shown = repr(heard.events) + repr(failed)
    assert "s3cret" not in shown
    assert "pw@" not in shown
    assert heard.of(BuildLogged)[0].line == "red ***"


def test_warnings_of_the_dockerfile_are_events(heard: Heard) -> None:
    """BuildKit's warnings reach the listener, with or without an address."""
    progress = BuildProgress(heard)
    progress.feed(encode(field(4, field(3, b"old style") + field(5, b"http://x"))))
    progress.feed(encode(field(4, field(3, b"odd"))))
    assert heard.events == [
        Warned(message="old style", hint="http://x"),
        Warned(message="odd", hint="look at the Dockerfile"),
    ]


def test_damaged_traces_warn_once(heard: Heard) -> None:
    """Progress that cannot be read does not end a build."""
    progress = BuildProgress(heard)
    progress.feed("*")
    progress.feed(encode(b"\x0b"))
    (warning,) = heard.of(Warned)
    assert "damaged" in warning.message


@pytest.mark.parametrize("end", [0, 3])
def test_clock_jumps_give_no_negative_time(heard: Heard, end: int) -> None:
    """A step that ends before it starts took no time."""
    BuildProgress(heard).feed(encode(vertex("a", start=3, end=end)))
    assert heard.of(BuildStepFinished)[0].seconds == 0.0
