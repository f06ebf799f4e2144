"""`--events FILE`: every event is a line, at once, and the last says how it ended."""

import json
from pathlib import Path

import pytest

from aweigh import events
from aweigh.cli.eventlog import event_log
from aweigh.errors import SettingsError, StoreError
from aweigh.oci import Reference
from tests.cli.conftest import Run

SENT = events.BundleUploaded(uri="u", origin="uploaded", uploaded_bytes=3, seconds=0.5)


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_event_is_there_at_once(tmp_path: Path) -> None:
    """Names, times and plain values; a reader need not wait for the end."""
    path = tmp_path / "events"
    with event_log(str(path)) as log:
        assert log is not None
        log(SENT)
        assert _lines(path)[0]["event"] == "BundleUploaded"
        pushed = Reference.parse("r.example/t:1")
        log(events.ImagePushed(reference=pushed, seconds=1))
    first, second, last = _lines(path)
    assert (first["uploaded_bytes"], second["reference"]) == (3, "r.example/t:1")
    assert (last["event"], last["ok"]) == ("Ended", True)


def test_the_end_tells_what_went_wrong(tmp_path: Path) -> None:
    """Our errors with their hint, others by name alone: nothing secret leaks."""
    path = tmp_path / "events"
    with pytest.raises(StoreError), event_log(str(path)):
        raise StoreError("no", hint="do")
    assert _lines(path)[0]["hint"] == "do"
    with pytest.raises(ValueError, match="hidden"), event_log(str(path)):
        raise ValueError("hidden")
    assert _lines(path)[0]["error"] == "ValueError"


def test_no_file_and_no_such_place(tmp_path: Path) -> None:
    """Without the option nothing is written; with a wrong one nothing is begun."""
    with event_log(None) as log:
        assert log is None
    with pytest.raises(SettingsError), event_log(str(tmp_path / "no" / "x")):
        pytest.fail("it began")


def test_a_full_disk_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """One warning, and the command goes on."""
    with event_log("/dev/full") as log:
        assert log is not None
        log(SENT)
        log(SENT)
    assert capsys.readouterr().err.count("No space left") == 1


def test_a_full_disk_hides_no_failure() -> None:
    """A command that fails while nothing can be written has failed all the same."""
    with pytest.raises(ValueError, match="failed"), event_log("/dev/full"):
        raise ValueError("failed")


def test_a_command_writes_its_events(run: Run, tmp_path: Path) -> None:
    """The bundle's events are in the file; stdout stays data."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("1\n")
    done = run("bundle", "src", "--events", "log", "-q")
    assert (done.code, done.err) == (0, "")
    names = [line["event"] for line in _lines(tmp_path / "log")]
    assert {"TreeScanned", "BundleUploaded"} < set(names)
    assert names[-1] == "Ended"
