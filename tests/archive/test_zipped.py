"""Zip files: readable by others, the same every time, never of moving files."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.archive import zip_record
from aweigh.archive.member import Member, with_directories
from aweigh.archive.zipped import zip_chunks
from aweigh.errors import ChangedError, TreeError
from aweigh.oci.digest import Digest
from tests.archive.members import file

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20


def packed(members: list[Member]) -> bytes:
    """The whole zip file."""
    return b"".join(zip_chunks(members))


def read(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Read a zip file with Python's own reader: mode and content by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        return {
            info.filename: (info.external_attr >> 16, found.read(info))
            for info in found.infolist()
        }


ONE_OF_EACH = [
    Member(path="bin", kind="directory"),
    file("bin/run", b"#!/bin/sh\necho ran\n", executable=True),
    file("empty", b""),
    Member(path="link", kind="symlink", target="bin/run"),
    file("noise", os.urandom(5000)),
    file("text", b"again and again " * 1000),
    file("\u00e9t\u00e9", b"x"),
]


def test_everything_is_there_for_python() -> None:
    """Contents, exec bits, symlinks and directories are read back."""
    found = read(packed(ONE_OF_EACH))
    assert list(found) == ["bin/", *(each.path for each in ONE_OF_EACH[1:])]
    assert found["bin/"] == (stat.S_IFDIR | 0o755, b"")
    assert found["bin/run"][0] == stat.S_IFREG | 0o755
    assert found["text"] == (stat.S_IFREG | 0o644, b"again and again " * 1000)
    assert found["link"] == (stat.S_IFLNK | 0o777, b"bin/run")
    assert found["noise"][1] == ONE_OF_EACH[4].source


def test_info_zip_unpacks_it(tmp_path: Path) -> None:
    """Info-ZIP makes the symlink and the exec bit; it finds nothing to complain of."""
    archive = tmp_path / "all.zip"
    archive.write_bytes(packed(ONE_OF_EACH))
    subprocess.run(["unzip", "-q", archive, "-d", tmp_path / "out"], check=True)
    out = tmp_path / "out"
    assert os.readlink(out / "link") == "bin/run"  # noqa: PTH115
    ran = subprocess.run([out / "link"], check=True, capture_output=True)
    assert ran.stdout == b"ran\n"
    assert (out / "\u00e9t\u00e9").read_bytes() == b"x"
    assert not os.access(out / "text", os.X_OK)


def test_only_what_shrinks_is_deflated() -> None:
    """Random bytes and empty files are stored."""
    with zipfile.ZipFile(io.BytesIO(packed(ONE_OF_EACH))) as found:
        methods = {info.filename: info.compress_type for info in found.infolist()}
    assert methods["noise"] == methods["empty"] == zipfile.ZIP_STORED
    assert methods["text"] == zipfile.ZIP_DEFLATED


NAMES = st.text("ab-. \u00e9\\\n", min_size=1, max_size=6).filter(
    lambda name: name not in {".", ".."}
)


@given(
    st.dictionaries(
        st.lists(NAMES, min_size=1, max_size=3).map("/".join),
        st.tuples(st.binary(max_size=40), st.booleans()),
        max_size=6,
    )
)
def test_any_tree_comes_back(drawn: dict[str, tuple[bytes, bool]]) -> None:
    """Names, contents and exec bits survive, and equal members give equal bytes."""
    kept = {
        path: value
        for path, value in sorted(drawn.items(), key=lambda item: item[0].encode())
        if not any(other.startswith(f"{path}/") for other in drawn)
    }
    members = [
        file(path, content, executable=executable)
        for path, (content, executable) in kept.items()
    ]
    data = packed(list(with_directories(members)))
    found = {
        name: (content, bool(mode & 0o100))
        for name, (mode, content) in read(data).items()
        if not name.endswith("/")
    }
    assert found == kept
    assert data == packed(list(with_directories(members)))


def test_large_files_are_streamed(tmp_path: Path) -> None:
    """What is larger than a frame comes back; a pipe's reader sees where it ends."""
    content = os.urandom(5 * MIB) + b"text " * MIB
    source = tmp_path / "large"
    source.write_bytes(content)
    member = Member(
        path="large",
        kind="file",
        size=len(content),
        source=source,
        digest=Digest.of(content),
    )
    data = packed([member, file("after", b"1")])
    assert read(data) == {
        "large": (stat.S_IFREG | 0o644, content),
        "after": (stat.S_IFREG | 0o644, b"1"),
    }
    piped = subprocess.run(
        ["funzip"], input=data, check=False, capture_output=True
    ).stdout
    assert piped == content


def test_memory_stays_constant(tmp_path: Path) -> None:
    """A file of 200 MiB takes a few frames."""
    source = tmp_path / "sparse"
    with source.open("wb") as sparse:
        sparse.truncate(200 * MIB)
    member = Member(path="sparse", kind="file", size=200 * MIB, source=source)
    tracemalloc.start()
    try:
        for _ in zip_chunks([member]):
            pass
        assert tracemalloc.get_traced_memory()[1] < 60 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("limit", [1001, 20_000, 4_000_000])
def test_zip64(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes, offsets and counts beyond their limits are found where zip64 puts them."""
    monkeypatch.setattr(zip_record, "LIMIT", limit)
    monkeypatch.setattr(zip_record, "_MARGIN", 0)
    monkeypatch.setattr(zip_record, "COUNT_LIMIT", 3)
    large = os.urandom(2 * MIB)
    members = [
        file("a", os.urandom(999)),
        file("large", large),
        file("b", b"1"),
        Member(path="c", kind="directory"),
    ]
    found = read(packed(members))
    assert found["large"][1] == large
    assert found["b"][1] == b"1"
    assert len(found) == 4


def test_more_members_than_16_bits_count() -> None:
    """66,000 members are all found."""
    members = [file(f"{number}", b"") for number in range(66_000)]
    data = packed(members)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert len(found.namelist()) == 66_000
    assert b"PK\x06\x06" in data[-200:]


def test_names_that_are_not_utf_8() -> None:
    """They are refused by name: a zip file has no way to say them."""
    with pytest.raises(TreeError, match="not UTF-8") as caught:
        packed([file(os.fsdecode(b"caf\xe9"), b"")])
    assert list(caught.value.paths) == ["caf\udce9"]
    assert "tar.gz" in caught.value.hint


def test_a_name_that_is_too_long() -> None:
    """64 KiB of name do not fit."""
    with pytest.raises(TreeError, match="too long"):
        packed([file("n" * 70_000, b"")])


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_files_that_changed(tmp_path: Path, size: int) -> None:
    """Other content than announced is noticed, in small files and in streamed ones."""
    source = tmp_path / "moving"
    source.write_bytes(b"b" * size)
    member = Member(
        path="moving",
        kind="file",
        size=size,
        source=source,
        digest=Digest.of(b"a" * size),
    )
    with pytest.raises(ChangedError, match="moving"):
        packed([member])
