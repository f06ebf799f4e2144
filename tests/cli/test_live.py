"""The stages on a terminal: what is drawn, and that it is out of the way in time."""

import argparse
import io
import sys

import pytest
from rich.console import Console

from aweigh import events
from aweigh.cli import patient
from aweigh.cli import view as module
from aweigh.cli.live import Live
from aweigh.cli.stages import Stages
from aweigh.cli.view import view
from aweigh.events import Event
from aweigh.oci import Platform, Reference

REFERENCE = Reference.parse("r.example/t:1")
STORY: tuple[Event, ...] = (
    events.Checked(
        checker="registry", reference=REFERENCE, verdict="absent", reason="", seconds=0
    ),
    events.BuildStarted(
        reference=REFERENCE, platform=Platform.parse("linux/amd64"), builder="x"
    ),
    events.BuildStepStarted(step="RUN make"),
    events.TreeScanned(root="/x", files=3, size=2048, read=1, seconds=0.01),
    events.PushProgressed(layer="a", done=1 << 20, total=4 << 20),
    events.BlobPushed(layer="a", reused=False, size=4 << 20),
    events.BlobPushed(layer="b", reused=True),
    events.UploadProgressed(uri="u", done=10, total=20),
    events.BundleUploaded(uri="u", origin="uploaded", uploaded_bytes=20, seconds=0.5),
    events.ImageEnsured(reference="r", origin="built", seconds=2),
    events.BlobPushed(layer="code", reused=False, size=100),
    events.CodeDelivered(reference="r", origin="built", seconds=0.1),
    events.PullProgressed(layer="a", done=1024, total=2048),
    events.ImagePulled(reference=REFERENCE, seconds=0.4),
    events.TaskStarted(name="t-1", image="r", target="docker"),
)


def test_stages_tell_where_each_is() -> None:
    """Bytes and layers are counted for the stage that moves them."""
    stages = Stages()
    texts: list[str] = []
    for event in STORY:
        assert stages.take(event)
        texts += [stage.text for stage in stages.begun]
    assert "building for linux/amd64" in texts
    assert "pushing 1.0 MiB of 4.0 MiB" in texts
    assert "uploading 10 B of 20 B" in texts
    assert "pulling 1.0 KiB of 2.0 KiB" in texts
    assert [(stage.name, stage.text) for stage in stages.begun] == [
        (
            "image",
            "built, 4.0 MiB, 1 layer pushed, 1 reused [2.0 s]",
        ),
        ("bundle", "uploaded, 20 B sent [500 ms]"),
        ("code", "built [100 ms]"),
        ("start", "starting on docker"),
    ]
    assert not stages.take(events.Warned(message="careful", hint="do"))


class Lines:
    """A view that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        """Keep it."""
        self.heard.append(event)

    def end(self) -> None:
        """Be out of the way always."""


def test_live_draws_until_it_is_ended() -> None:
    """Warnings stand above; afterwards events are lines, and nothing is drawn."""
    screen, lines = io.StringIO(), Lines()
    console = Console(file=screen, force_terminal=True, width=60)
    live = Live(lines, console)
    live.end()
    live = Live(lines, console)
    for event in STORY:
        live(event)
    live(events.Warned(message="careful", hint="look"))
    live.end()
    drawn = screen.getvalue()
    assert "careful; look" in drawn
    assert "starting on docker" in drawn.rpartition("code")[2]
    live(STORY[0])
    live.end()
    assert lines.heard == [STORY[0]]
    assert screen.getvalue() == drawn


class Terminal(io.StringIO):
    """A stderr that looks like a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("quiet", "environ", "live"),
    [
        (False, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm"}, False),
        (False, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm", "CI": "true"}, False),
    ],
)
def test_lines_where_nobody_can_see_a_drawing(
    monkeypatch: pytest.MonkeyPatch,
    quiet: bool,  # noqa: FBT001 - a parameter of the test
    environ: dict[str, str],
    live: bool,  # noqa: FBT001
) -> None:
    """A drawing needs a terminal, and somebody at it."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(module, "environment", lambda: environ)
    made: list[Live] = []

    def draw(lines: module.View) -> module.View:
        console = Console(file=io.StringIO(), force_terminal=True)
        made.append(Live(lines, console))
        return made[-1]

    monkeypatch.setattr(patient, "_live_or", draw)
    with view(argparse.Namespace(quiet=quiet)) as seen:
        seen(STORY[0])
        assert made == []
        seen(STORY[1])
        seen(STORY[2])
        assert bool(made) == live
        seen.end()
        seen(STORY[3])


def test_what_is_over_soon_is_lines_and_loads_no_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer from memory pays for no drawing; the last line sums it up."""
    monkeypatch.setattr(module, "_can_be_live", lambda: True)
    monkeypatch.setattr(patient, "_live_or", pytest.fail)
    with view(argparse.Namespace(quiet=False)) as seen:
        seen(events.ImageEnsured(reference="r@sha256:1", origin="recalled", seconds=0))
        seen(events.Warned(message="careful", hint="look"))
        seen(STORY[8])
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "warning careful; look"
    assert said[1] == "image   ready: recalled [0 ms]"
    assert said[-1].startswith("done    image recalled, bundle uploaded, 20 B of code")


def test_without_rich_there_are_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The extra is a comfort, not a need."""
    monkeypatch.setattr(module, "_can_be_live", lambda: True)
    monkeypatch.setitem(sys.modules, "aweigh.cli.live", None)
    with view(argparse.Namespace(quiet=False)) as seen:
        seen(STORY[1])
    assert "building r.example/t:1" in capsys.readouterr().err
