"""What is kept on the disk: whole or not at all, and not for ever."""

import os
import time
from pathlib import Path

from aweigh.backends.assembler.wheels.keep import Keep
from aweigh.oci import Digest


def write(keep: Keep, scratch: Path, key: str, content: bytes = b"x") -> Path:
    """Keep one file; return where it lies."""
    place = scratch / key
    place.mkdir(parents=True)
    (place / "0").write_bytes(content)
    return keep.add(key, place, [("name", len(content), Digest.of(content))])


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Its files have moved; what is not there is None."""
    keep = Keep(tmp_path / "keep")
    assert keep.read("aa1") is None
    place = write(keep, tmp_path / "new", "aa1", b"content")
    assert not (tmp_path / "new" / "aa1").exists()
    found = keep.read("aa1")
    assert found is not None
    (one,) = found
    assert (one.name, one.size, one.path) == ("name", 7, place / "0")
    assert one.digest == Digest.of(one.path.read_bytes())


def test_the_first_of_two_entries_stays(tmp_path: Path) -> None:
    """The second keeps its files to itself."""
    keep = Keep(tmp_path / "keep")
    first = write(keep, tmp_path / "a", "aa1", b"first")
    second = write(keep, tmp_path / "b", "aa1", b"other")
    assert (first / "0").read_bytes() == b"first"
    assert (second / "0").read_bytes() == b"other"
    assert second == tmp_path / "b" / "aa1"


def test_what_is_old_or_too_much_goes(tmp_path: Path) -> None:
    """The longest unused first, once a day, and never what may be in use."""
    directory = tmp_path / "keep"
    keep = Keep(directory, most=250)
    now = time.time()
    for number in range(5):
        write(keep, tmp_path / "new", f"aa{number}", bytes(10))
        age = (0, 7_200, 7_300, 7_400, 40 * 86_400)[number]
        os.utime(directory / "aa" / f"aa{number}", (now - age, now - age))
    assert len(list(directory.glob("aa/*"))) == 5
    os.utime(directory / "pruned", (1, 1))
    write(keep, tmp_path / "new", "bb1")
    left = {one.name for one in directory.glob("??/*")}
    assert {"aa0", "bb1"} <= left
    assert "aa4" not in left
    assert left < {"aa0", "aa1", "aa2", "aa3", "bb1"}
    assert "aa3" not in left


def test_reading_renews(tmp_path: Path) -> None:
    """What is used is not pruned."""
    keep = Keep(tmp_path / "keep")
    place = write(keep, tmp_path / "new", "aa1")
    os.utime(place, (1, 1))
    keep.read("aa1")
    assert time.time() - place.stat().st_mtime < 60


def test_a_directory_that_others_may_write_keeps_nothing(tmp_path: Path) -> None:
    """What somebody slips in would get into images."""
    keep = Keep(tmp_path / "cache" / "keep")
    write(keep, tmp_path / "new", "aa1")
    assert keep.read("aa1") is not None
    (tmp_path / "cache").chmod(0o777)
    assert keep.read("aa1") is None
    assert write(keep, tmp_path / "new", "aa2") == tmp_path / "new" / "aa2"
    (tmp_path / "cache").chmod(0o755)
    assert keep.read("aa1") is not None
    assert keep.read("aa2") is None
