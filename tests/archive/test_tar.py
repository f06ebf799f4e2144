"""Tar streams: readable by others, the same every time, never of moving files."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.archive.header import MTIME
from aweigh.archive.member import Member
from aweigh.archive.tar import CHUNK, tar_chunks
from aweigh.errors import ChangedError, TreeError
from aweigh.oci.digest import Digest
from tests.archive.members import file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def packed(members: list[Member]) -> bytes:
    """The whole tar."""
    return b"".join(tar_chunks(members))


def on_disk(path: Path, content: bytes = b"hello") -> Member:
    """A member whose content is in a file."""
    path.write_bytes(content)
    return Member(
        path=path.name,
        kind="file",
        size=len(content),
        source=path,
        digest=Digest.of(content),
    )


names = st.one_of(
    st.text("ab-. é", min_size=1, max_size=8),
    st.binary(min_size=1, max_size=9).map(os.fsdecode),
    st.integers(90, 120).map("n".__mul__),
    st.just("ü" * 70),
).filter(lambda name: name not in {".", ".."} and not {"/", "\0"} & set(name))
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@st.composite
def member_lists(draw: st.DrawFn) -> list[Member]:
    """Members whose paths fit beside each other, parents before children."""
    members: list[Member] = []
    taken: dict[str, str] = {}
    for path in draw(st.lists(paths, max_size=8, unique=True)):
        kind = draw(st.sampled_from(["file", "symlink", "directory"]))
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        if path in taken or any(
            taken.get(parent, "directory") != "directory" for parent in above
        ):
            continue
        taken.update(dict.fromkeys(above, "directory"))
        taken[path] = kind
        if kind == "file":
            content = draw(st.binary(max_size=1100))
            members.append(file(path, content, executable=draw(st.booleans())))
        elif kind == "symlink":
            members.append(Member(path=path, kind="symlink", target=draw(paths)))
        else:
            members.append(Member(path=path, kind="directory"))
    return members


@given(member_lists())
@settings(max_examples=60, deadline=None)
def test_python_reads_what_was_written(members: list[Member]) -> None:
    """The standard library sees every name, target, mode, time and content."""
    with tarfile.open(
        fileobj=io.BytesIO(packed(members)), errors="surrogateescape"
    ) as archive:
        found = archive.getmembers()
        assert [each.name for each in found] == [each.path for each in members]
        for info, member in zip(found, members, strict=True):
            assert (info.uid, info.gid, info.uname, info.gname) == (0, 0, "", "")
            assert info.mtime == MTIME
            if member.kind == "file":
                assert info.isreg()
                assert info.mode == (0o755 if member.executable else 0o644)
                content = archive.extractfile(info)
                assert content is not None
                assert content.read() == member.source
            elif member.kind == "symlink":
                assert info.issym()
                assert (info.mode, info.linkname) == (0o777, member.target)
            else:
                assert info.isdir()
                assert info.mode == 0o755


@given(member_lists())
@settings(max_examples=25, deadline=None)
def test_gnu_tar_agrees_on_names(members: list[Member]) -> None:
    """GNU tar lists the bytes of every name."""
    content = packed(members)
    listed = subprocess.run(
        ["tar", "--list", "--quoting-style=literal", "--null"],
        input=content,
        capture_output=True,
        check=True,
        env={"LC_ALL": "C", "PATH": os.defpath},
    ).stdout
    wanted = "".join(
        f"{each.path}{'/' if each.kind == 'directory' else ''}\n" for each in members
    )
    assert listed == os.fsencode(wanted)


def test_same_members_same_bytes(tmp_path: Path) -> None:
    """Neither the directory nor the files' times, modes and owners show."""
    archives: list[bytes] = []
    for name in "one", "two":
        folder = tmp_path / name
        folder.mkdir()
        member = on_disk(folder / "code.py")
        os.utime(folder / "code.py", (len(archives), len(archives)))
        (folder / "code.py").chmod(0o600 + len(archives))
        archives.append(packed([member]))
    assert archives[0] == archives[1]


def test_small_files_share_a_piece_and_large_ones_are_cut(tmp_path: Path) -> None:
    """Pieces are about 1 MiB, whatever the files' sizes are."""
    many = [file(f"f{number}", b"x" * 700) for number in range(2000)]
    large = on_disk(tmp_path / "large", os.urandom(5 * CHUNK + 17))
    pieces = list(tar_chunks([*many, large]))
    assert len(pieces) < 12
    assert all(CHUNK <= len(piece) < 2 * CHUNK + 1024 for piece in pieces[:-1])
    links = [
        Member(path=f"l{number}", kind="symlink", target="x") for number in range(5000)
    ]
    assert max(map(len, tar_chunks(links))) < CHUNK + 1024


def test_a_huge_file_gets_its_size_in_an_extended_header(tmp_path: Path) -> None:
    """From 8 GiB on ustar cannot say the size; pax can."""
    size = 9 << 30
    with (tmp_path / "huge").open("wb") as sparse:
        sparse.truncate(size)
    member = Member(path="huge", kind="file", size=size, source=tmp_path / "huge")
    stream = tar_chunks([member])
    start = next(stream)
    stream.close()  # type: ignore[attr-defined]
    info = tarfile.TarInfo.frombuf(start[1024:1536], "utf-8", "strict")
    assert (info.name, info.size) == ("huge", 0)
    assert b"19 size=9663676416\n" in start[:1024]


def test_edits_between_listing_and_packing_are_noticed(tmp_path: Path) -> None:
    """Grown, shrunk, rewritten, gone, replaced: each names the file."""
    path = tmp_path / "code.py"
    member = on_disk(path, b"0123456789")

    def grow() -> None:
        path.write_bytes(b"0123456789+")

    def shrink() -> None:
        path.write_bytes(b"012")

    def rewrite() -> None:
        path.write_bytes(b"9876543210")

    def link() -> None:
        (tmp_path / "other").write_bytes(b"0123456789")
        path.symlink_to("other")

    def queue() -> None:
        os.mkfifo(path)

    def folder() -> None:
        path.mkdir()

    for change in grow, shrink, rewrite, link, queue, lambda: None, folder:
        path.unlink(missing_ok=True)
        change()
        with pytest.raises(ChangedError) as caught:
            packed([member])
        assert caught.value.paths == ("code.py",)
        assert caught.value.hint


def test_without_a_digest_the_files_times_are_the_proof(tmp_path: Path) -> None:
    """A file touched or cut between two pieces is noticed before the last one."""
    content = os.urandom(3 * CHUNK)
    path = tmp_path / "data"
    changes: list[Callable[[], None]] = [
        lambda: os.utime(path),
        lambda: os.truncate(path, CHUNK),
    ]
    for change in changes:
        path.write_bytes(content)
        member = Member(path="data", kind="file", size=len(content), source=path)
        stream = tar_chunks([member])
        next(stream)
        os.utime(path, (1, 1))
        change()
        with pytest.raises(ChangedError, match="data"):
            list(stream)
    path.write_bytes(content)
    assert len(packed([member])) > len(content)


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\0b"]
)
def test_unsafe_paths_are_refused(path: str) -> None:
    """A member path is relative and plain."""
    with pytest.raises(TreeError):
        packed([file(path, b"")])


def test_paths_that_exclude_each_other_are_refused() -> None:
    """Neither twice, nor inside a file or a symlink, in whichever order."""
    link = Member(path="a", kind="symlink", target="b")
    folder = Member(path="a", kind="directory")
    inner = file("a/b/c", b"")
    for members in [
        [file("a", b""), file("a", b"")],
        [folder, file("a", b"")],
        [link, inner],
        [inner, link],
        [file("a/b", b""), inner],
    ]:
        with pytest.raises(TreeError):
            packed(members)
    assert packed([folder, inner])


def test_content_that_is_not_what_was_announced_is_refused() -> None:
    """Bytes are checked like files; a file without a source is a mistake."""
    for wrong in b"12", b"1234":
        member = Member(
            path="x", kind="file", size=3, source=wrong, digest=Digest.of(b"123")
        )
        with pytest.raises(ChangedError):
            packed([member])
    other = Member(path="x", kind="file", size=3, source=b"abc", digest=Digest.of(b""))
    with pytest.raises(ChangedError):
        packed([other])
    with pytest.raises(TreeError):
        packed([Member(path="x", kind="file")])


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """No permission is no change: it needs another hint."""
    member = on_disk(tmp_path / "secret")
    (tmp_path / "secret").chmod(0)
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(TreeError, match="secret"):
            packed([member])
    finally:
        os.seteuid(uid)
