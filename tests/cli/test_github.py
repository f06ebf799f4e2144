"""GitHub Actions: outputs, groups, annotations and the job's summary."""

from pathlib import Path

import pytest

from aweigh import events
from aweigh.cli import github as module
from aweigh.cli.github import Folded, annotate, publish
from aweigh.cli.tally import Tally
from aweigh.errors import StoreError
from aweigh.events import Event
from aweigh.oci import Platform, Reference
from tests.cli.conftest import Run

REFERENCE = Reference.parse("r.example/t:1")
PLATFORM = Platform.parse("linux/amd64")
BEGUN = events.BuildStarted(reference=REFERENCE, platform=PLATFORM, builder="x")
BUILT = events.BuildFinished(reference=REFERENCE, platform=PLATFORM, seconds=1)
READY = events.ImageEnsured(reference="r@sha256:1", origin="built", seconds=1)


class Silent:
    """A view that shows nothing."""

    def __call__(self, event: Event, /) -> None:
        """Show nothing."""

    def end(self) -> None:
        """Be out of the way always."""


def test_builds_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    """Two builds side by side share a group; what fails leaves none open."""
    folded = Folded(Silent())
    for event in (BEGUN, BEGUN, BUILT):
        folded(event)
    assert "::endgroup::" not in capsys.readouterr().err
    folded(BUILT)
    assert capsys.readouterr().err == "::endgroup::\n"
    folded(BEGUN)
    assert capsys.readouterr().err.startswith("::group::build r.example/t:1 for linux")
    folded.end()
    folded.end()
    folded(READY)
    assert capsys.readouterr().err == "::endgroup::\n"


def test_an_error_is_one_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines and percent signs are escaped: nothing in them is a command."""
    annotate(StoreError("100 %\n::set-env::x", hint="do"))
    said = "::error title=aweigh::100 %25%0A::set-env::x%0Ahint: do\n"
    assert capsys.readouterr().err == said


def test_outputs_and_summary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A value with line ends stays one value; what is unknown is not written."""
    output, summary = tmp_path / "output", tmp_path / "summary"
    variables = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
    monkeypatch.setattr(module, "environment", lambda: variables)
    publish(Tally(), "ps")
    assert not output.exists()
    tally = Tally()
    tally(READY)
    tally.bundle = "file:///a\nimage=evil"
    publish(tally, "prepare")
    lines = output.read_text().splitlines()
    assert lines[:2] == ["image=r@sha256:1", "digest=sha256:1"]
    assert lines[2].startswith("bundle<<end-")
    assert lines[-1] == lines[2].removeprefix("bundle<<")
    assert "### aweigh prepare" in summary.read_text()
    assert "image built" in summary.read_text()


def test_a_summary_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command succeeded; that is what counts."""
    variables = {"GITHUB_OUTPUT": str(tmp_path / "no" / "x")}
    monkeypatch.setattr(module, "environment", lambda: variables)
    tally = Tally()
    tally(READY)
    publish(tally, "ensure")
    assert capsys.readouterr().err.startswith("::warning title=aweigh::$GITHUB_OUTPUT")


def test_in_a_workflow(run: Run, tmp_path: Path) -> None:
    """The command itself: output of a bundle, annotation of a failure."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("1\n")
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(tmp_path / "out")}
    done = run("bundle", "src", **actions)
    assert (tmp_path / "out").read_text() == f"bundle={done.out}"
    failed = run("bundle", "nowhere", **actions)
    assert failed.code == 1
    assert "::error title=aweigh::" in failed.err
