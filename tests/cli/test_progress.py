"""Progress lines: every event that matters has one, and none is overlong."""

import argparse

import pytest

from aweigh import events
from aweigh.cli.output import readable_size, readable_time
from aweigh.cli.progress import line, print_event, progress
from aweigh.events import Event, silent
from aweigh.oci import Platform, Reference

REFERENCE = Reference.parse("r.example/t:1")
AMD64 = Platform.parse("linux/amd64")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            events.Checked(
                checker="cache",
                reference=REFERENCE,
                verdict="unknown",
                reason="not remembered",
                seconds=0.002,
            ),
            "image   cache: unknown (not remembered) [2 ms]",
        ),
        (
            events.BuildStarted(reference=REFERENCE, platform=AMD64, builder="engine"),
            "image   building r.example/t:1 for linux/amd64",
        ),
        (events.BuildStepStarted(step="RUN x"), ""),
        (
            events.BuildStepFinished(
                step="RUN --mount=type=cache,id=x echo hi", cached=False, seconds=1.25
            ),
            "build   RUN echo hi [1.2 s]",
        ),
        (
            events.BuildStepFinished(step="COPY a b", cached=True, seconds=0),
            "build   COPY a b [cached]",
        ),
        (events.BuildLogged(step="RUN x", line="hello"), "build   | hello"),
        (
            events.BuildFinished(reference=REFERENCE, platform=AMD64, seconds=2),
            "image   built [2.0 s]",
        ),
        (events.PushProgressed(layer="abc", done=1, total=2), ""),
        (events.BlobPushed(layer="abc", reused=True), "push    abc reused"),
        (events.BlobPushed(layer="abc", reused=False), "push    abc pushed"),
        (
            events.BlobPushed(layer="abc", reused=True, size=2048),
            "push    abc reused, 2.0 KiB",
        ),
        (
            events.ImagePushed(reference=REFERENCE, seconds=0.5),
            "image   pushed r.example/t:1 [500 ms]",
        ),
        (
            events.ImageEnsured(reference="x", origin="found", seconds=0.5),
            "image   ready: found [500 ms]",
        ),
        (
            events.TreeScanned(root="/x", files=3, size=2048, read=1, seconds=0.01),
            "bundle  3 entries, 2.0 KiB, 1 read [10 ms]",
        ),
        (
            events.CodeDelivered(reference="r", origin="built", seconds=0.5),
            "code    ready: built [500 ms]",
        ),
        (
            events.ImagePulled(reference=REFERENCE, seconds=0.5),
            "start   pulled the image [500 ms]",
        ),
        (
            events.TaskStarted(name="t-1", image="r", target="docker"),
            "start   t-1 on docker",
        ),
        (
            events.TaskFinished(name="t-1", target="docker", exit_code=3, seconds=2),
            "end     exit code 3 [2.0 s]",
        ),
        (
            events.ServiceDeployed(
                name="web", image="r", target="swarm", url="http://x:1", seconds=2
            ),
            "deploy  web is well on swarm at http://x:1 [2.0 s]",
        ),
        (
            events.ServeSwitched(version=2, image="r", url="http://x", seconds=2),
            "serve   version 2 answers at http://x [2.0 s]",
        ),
        (
            events.ServeKept(version=3, kept=2, reason="bad", hint="mend", seconds=2),
            "serve   version 3 failed, version 2 stays: bad\n  hint: mend",
        ),
        (
            events.ServeEnded(version=2, exit_code=1),
            "serve   version 2 ended with exit code 1; the next edit starts it again",
        ),
        (
            events.FileSkipped(path="s", kind="socket"),
            "bundle  left out s: socket",
        ),
        (
            events.BundleUploaded(
                uri="u", origin="uploaded", uploaded_bytes=10, seconds=0.5
            ),
            "bundle  ready: uploaded, 10 B sent [500 ms]",
        ),
        (
            events.BundleUploaded(
                uri="u", origin="recalled", uploaded_bytes=0, seconds=0.5
            ),
            "bundle  ready: recalled [500 ms]",
        ),
        (
            events.Waited(purpose="ensuring x", holder="host 7", seconds=5),
            "wait    ensuring x by host 7 [5.0 s]",
        ),
        (
            events.Retried(what="HEAD x", reason="503", attempt=1, delay=0.2),
            "retry   HEAD x in 200 ms: 503",
        ),
        (events.Warned(message="careful", hint="look"), "warning careful; look"),
    ],
)
def test_lines(event: Event, expected: str) -> None:
    """Each event as people see it."""
    assert line(event) == expected


def test_long_steps_are_cut() -> None:
    """A step is one line of a terminal."""
    event = events.BuildStepFinished(step="RUN " + "x" * 500, cached=True, seconds=0)
    assert len(line(event)) < 130


def test_print_event(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines go to stderr; silence prints nothing."""
    print_event(events.Warned(message="careful", hint="look"))
    print_event(events.BuildStepStarted(step="RUN x"))
    assert capsys.readouterr() == ("", "warning careful; look\n")
    assert progress(argparse.Namespace(quiet=True)) is silent
    assert progress(argparse.Namespace(quiet=False)) is print_event


def test_readable() -> None:
    """Sizes and times have units people know."""
    assert [readable_size(n) for n in (0, 1023, 1024, 5 << 20, 3 << 30)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "5.0 MiB",
        "3.0 GiB",
    ]
    assert [readable_time(s) for s in (0.0001, 0.25, 1, 90, 600, 9e3, 2.6e6)] == [
        "0.1 ms",
        "250 ms",
        "1.0 s",
        "90.0 s",
        "10 m",
        "2 h",
        "30 d",
    ]
