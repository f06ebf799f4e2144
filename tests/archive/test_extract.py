"""Unpacking what may be hostile: refused as a whole, nothing written outside."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.archive.extract import extract
from aweigh.archive.member import Member
from aweigh.archive.tar import tar_chunks
from aweigh.errors import DamagedError, TreeError
from aweigh.oci.digest import Digest


def file(path: str, content: bytes = b"", *, executable: bool = False) -> Member:
    """A file member that carries its content."""
    return Member(
        path=path,
        kind="file",
        executable=executable,
        size=len(content),
        source=content,
        digest=Digest.of(content),
    )


def link(path: str, target: str) -> Member:
    """A symlink member."""
    return Member(path=path, kind="symlink", target=target)


def listed(*members: Member) -> dict[str, Member]:
    """What extract expects."""
    return {member.path: member for member in members}


def forged(name: str = "x", content: bytes = b"", **fields: object) -> bytes:
    """A tar of one member with fields no honest writer would set."""
    out = io.BytesIO()
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.USTAR_FORMAT, errors="surrogateescape"
    ) as archive:
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_everything_comes_out(tmp_path: Path) -> None:
    """Files, modes, links, empty directories; in pieces of any size."""
    members = [
        file("a/b/run.sh", b"#!/bin/sh\n", executable=True),
        file("a/data", os.urandom(70_000)),
        file("empty"),
        link("a/back", "../empty"),
        link("dangling", "a/nothing"),
        link("loop", "loop"),
        Member(path="a/void", kind="directory"),
        Member(path="a", kind="directory"),
        file("z", b"last"),
    ]
    stream = b"".join(tar_chunks(members))
    for number, size in enumerate((1, 511, 10_000, len(stream))):
        target = tmp_path / str(number)
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        extract(pieces, target, expected=listed(*members))
        assert (target / "a/b/run.sh").stat().st_mode & 0o777 == 0o755
        assert (target / "z").stat().st_mode & 0o777 == 0o644
        assert (target / "a/data").read_bytes() == members[1].source
        assert os.readlink(target / "a/back") == "../empty"  # noqa: PTH115
        assert (target / "a/void").is_dir()


@pytest.mark.parametrize(
    "members",
    [
        [file("../x")],
        [file("/x")],
        [file("a/./b")],
        [link("a", "/etc")],
        [link("a", "..")],
        [link("a", "b/../..")],
        [link("d/a", "../../x")],
        [link("a", "."), link("b", "a/../x")],
        [link("d/e/a", "../.."), link("b", "d/e/a/../x")],
        [link("a", "b"), link("b", "/etc")],
        [link("a", "")],
        [link("a", "b\0c")],
        [link("a", "b"), file("a/passwd")],
        [file("a"), file("a/b")],
    ],
)
def test_lists_that_leave_are_refused_before_anything(
    members: list[Member], tmp_path: Path
) -> None:
    """Paths and links are followed on paper first."""
    target = tmp_path / "out"
    with pytest.raises(DamagedError):
        extract(iter(()), target, expected=listed(*members))
    assert list(tmp_path.iterdir()) == []


def test_a_long_chain_of_links_ends(tmp_path: Path) -> None:
    """Links that point at each other for ever lead nowhere: no harm, no hang."""
    members = [link(f"l{number}", f"l{(number + 1) % 50}") for number in range(50)]
    extract(tar_chunks(members), tmp_path / "out", expected=listed(*members))
    assert len(list((tmp_path / "out").iterdir())) == 50


X = file("x", b"12345")
HOSTILE = {
    "other path": forged("../x", b"12345"),
    "absolute": forged("/x", b"12345"),
    "unlisted": forged("y", b"12345"),
    "twice": b"".join(tar_chunks([X]))[:1024] + b"".join(tar_chunks([X])),
    "hard link": forged(type=tarfile.LNKTYPE, linkname="/etc/passwd"),
    "symlink": forged(type=tarfile.SYMTYPE, linkname="y"),
    "device": forged(type=tarfile.CHRTYPE, devmajor=1, devminor=5),
    "fifo": forged(type=tarfile.FIFOTYPE),
    "sparse": forged(type=tarfile.GNUTYPE_SPARSE),
    "long name of GNU": forged("x", b"y\0", type=tarfile.GNUTYPE_LONGNAME),
    "global header": forged("x", b"9 path=y\n", type=tarfile.XGLTYPE),
    "set-uid": forged("x", b"12345", mode=0o4644),
    "executable": forged("x", b"12345", mode=0o755),
    "larger": forged("x", b"123456"),
    "smaller": forged("x", b"1234"),
    "other content": forged("x", b"54321"),
    "cut": forged("x", b"12345")[:700],
    "cut header": forged("x", b"12345")[:100],
    "no end": forged("x", b"12345")[:1024],
    "nothing": b"",
    "empty archive": bytes(1024),
    "goes on": b"".join(tar_chunks([X])) + b"more",
    "goes on with zeros": b"".join(tar_chunks([X])) + bytes(1 << 20),
    "garbage": b"garbage" * 1000,
    "directory with content": forged("x", b"12345", type=tarfile.DIRTYPE),
    "file with target": forged("x", b"12345", linkname="y"),
    "pax unknown": forged("x", b"12 other=ab\n", type=tarfile.XHDTYPE),
    "pax length": forged("x", b"99 path=x\n", type=tarfile.XHDTYPE),
    "pax no newline": forged("x", b"9 path=xy", type=tarfile.XHDTYPE),
    "pax twice": forged("x", b"10 path=x\n" * 2, type=tarfile.XHDTYPE),
    "pax huge": forged("x", bytes(1 << 20), type=tarfile.XHDTYPE),
    "pax last": forged("x", b"10 path=x\n", type=tarfile.XHDTYPE),
    "pax size": forged("x", b"10 size=q\n", type=tarfile.XHDTYPE)[:1024]
    + forged("x", b"12345"),
    "negative length": forged("x", b"1 path=x\n", type=tarfile.XHDTYPE),
    "number": forged("x", b"12345").replace(b"00000000005\0", b"0000000000z\0"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_whole(name: str, tmp_path: Path) -> None:
    """Whatever differs from the list is refused, and nothing of it stays."""
    target = tmp_path / "out"
    with pytest.raises(DamagedError) as caught:
        extract([HOSTILE[name]], target, expected=listed(X))
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_forged_number_with_a_right_checksum_is_refused(tmp_path: Path) -> None:
    """Numbers are octal; base-256 and signs are for others."""
    block = bytearray(forged("x", b"12345"))
    block[124:136] = b"-0000000005\0"
    total = sum(block[:148]) + sum(block[156:512]) + 8 * ord(" ")
    block[148:156] = b"%06o\0 " % total
    with pytest.raises(DamagedError, match="octal"):
        extract([bytes(block)], tmp_path / "out", expected=listed(X))


def test_links_must_be_the_listed_ones(tmp_path: Path) -> None:
    """A symlink with another target than listed is refused."""
    with pytest.raises(DamagedError, match="target"):
        extract(
            tar_chunks([link("x", "a")]),
            tmp_path / "out",
            expected=listed(link("x", "b")),
        )


def test_a_bomb_is_not_read(tmp_path: Path) -> None:
    """A member larger than listed is refused by its header."""

    def bomb() -> object:
        yield forged("x", b"1" * 1024)[:512]
        raise AssertionError

    with pytest.raises(DamagedError, match="size"):
        extract(bomb(), tmp_path / "out", expected=listed(X))  # type: ignore[arg-type]


def test_a_listed_file_needs_a_digest(tmp_path: Path) -> None:
    """Nothing unverified is unpacked."""
    with pytest.raises(DamagedError):
        extract(
            tar_chunks([X]), tmp_path / "out", expected=listed(replace(X, digest=None))
        )


def test_the_destination_must_be_new(tmp_path: Path) -> None:
    """What is there already stays untouched."""
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(TreeError, match="File exists"):
        extract(tar_chunks([X]), tmp_path, expected=listed(X))
    assert (tmp_path / "mine").read_text() == "keep"


def test_names_the_file_system_does_not_take(tmp_path: Path) -> None:
    """An over-long name fails as a whole, with the path in the error."""
    member = file("d/" + "n" * 300, b"x")
    with pytest.raises(TreeError, match="nnn"):
        extract(tar_chunks([member]), tmp_path / "out", expected=listed(member))
    assert list(tmp_path.iterdir()) == []


def test_gnu_padding_is_allowed(tmp_path: Path) -> None:
    """Other writers fill the last record with zeros."""
    extract([forged("x", b"12345", mode=0o644)], tmp_path / "o", expected=listed(X))
    assert (tmp_path / "o/x").read_bytes() == b"12345"


@given(st.integers(0, 2047), st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_flipped_byte_never_gives_another_file(at: int, flip: int) -> None:
    """Any one byte changed: refused, or the same files all the same."""
    import tempfile  # noqa: PLC0415  # hypothesis forbids tmp_path here

    stream = bytearray(b"".join(tar_chunks([X, link("y", "x")])))
    stream[at] ^= flip
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "out")
        try:
            extract([bytes(stream)], target, expected=listed(X, link("y", "x")))
        except DamagedError:
            assert not target.exists()
        else:
            assert sorted(os.listdir(target)) == ["x", "y"]  # noqa: PTH208
            assert (target / "x").read_bytes() == b"12345"
