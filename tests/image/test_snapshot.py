"""Snapshots: what a spec names, read once, at safe places in the context."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.archive.tar import tar_chunks
from aweigh.errors import ChangedError, SpecError
from aweigh.image.files import take_snapshot
from aweigh.image.snapshot import Snapshot, names_files, pure_snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest
from tests.image.trees import make_tree, make_wheel

SPEC = ImageSpec("t", base="debian:12")


def paths(snapshot: Snapshot) -> list[str]:
    """Return the paths of the context."""
    return [member.path for member in snapshot.members]


def content(snapshot: Snapshot, path: str) -> bytes:
    """Return what the context holds at a path."""
    (found,) = (member for member in snapshot.members if member.path == path)
    return found.source if isinstance(found.source, bytes) else read(found)


def read(member: Member) -> bytes:
    """Read a member's file."""
    assert isinstance(member.source, Path)
    return member.source.read_bytes()


def test_steps_without_files_need_none(tmp_path: Path) -> None:
    """A spec that names no file has an empty context."""
    spec = SPEC.with_apt("git").with_packages("six").with_env(A="1").with_run("true")
    snapshot = take_snapshot(
        spec.with_workdir("/a").with_user("1").with_labels({"a": "b"}), tmp_path
    )
    assert snapshot.members == ()
    assert str(snapshot.base) == "docker.io/library/debian:12"
    assert snapshot.python == ""


def test_tag_and_digest(tmp_path: Path) -> None:
    """The tag is the start of the digest."""
    snapshot = take_snapshot(SPEC, tmp_path)
    assert snapshot.tag == f"aw-{snapshot.digest.hex[:20]}"


def test_a_file_and_a_directory(tmp_path: Path) -> None:
    """A file is itself, a directory its tree, each below its step's place."""
    make_tree(tmp_path, {"run.sh!": "x", "conf/a.ini": "a", "conf/sub/b.ini": "b"})
    (tmp_path / "link").symlink_to("run.sh")
    (tmp_path / "conf/c.ini").symlink_to("a.ini")
    (tmp_path / "conf/empty").mkdir()
    spec = SPEC.with_files("run.sh", "/run.sh").with_files("conf", "/conf")
    snapshot = take_snapshot(spec.with_files("link", "/bin/"), tmp_path)
    assert paths(snapshot) == [
        "steps/0/file",
        "steps/1/tree",
        "steps/1/tree/a.ini",
        "steps/1/tree/c.ini",
        "steps/1/tree/empty",
        "steps/1/tree/sub/b.ini",
        "steps/2/file",
    ]
    assert snapshot.members[0].executable
    assert snapshot.members[-1].digest == snapshot.members[0].digest == Digest.of(b"x")
    assert b"".join(tar_chunks(snapshot.members))


def test_an_edit_before_the_build_is_noticed(tmp_path: Path) -> None:
    """What is packed later is compared with what was digested now."""
    make_tree(tmp_path, {"a": "one"})
    snapshot = take_snapshot(SPEC.with_files("a", "/a"), tmp_path)
    make_tree(tmp_path, {"a": "two"})
    with pytest.raises(ChangedError):
        b"".join(tar_chunks(snapshot.members))


def test_local_find_links_travel(tmp_path: Path) -> None:
    """Distributions in local directories are in the context, pages are not."""
    make_wheel(tmp_path / "links", "local")
    make_tree(tmp_path, {"links/notes.txt": "x", "r.txt": "six\n"})
    links = ("https://l.example/", "links")
    spec = SPEC.with_packages("local", find_links=links)
    snapshot = take_snapshot(
        spec.with_requirements("r.txt", find_links=links), tmp_path
    )
    assert paths(snapshot) == [
        "steps/0/links/1/local-1.0-py3-none-any.whl",
        "steps/1/requirements.txt",
        "steps/1/links/1/local-1.0-py3-none-any.whl",
    ]


def test_a_script_gives_its_block_and_python(tmp_path: Path) -> None:
    """Only the PEP 723 block is kept; its requires-python chooses the base."""
    block = (
        '# /// script\n# requires-python = ">=3.13"\n# dependencies = ["six"]\n# ///\n'
    )
    make_tree(tmp_path, {"train.py": f"#!/usr/bin/env python\n{block}\nprint(1)\n"})
    spec = ImageSpec.from_script("train.py", name="t")
    snapshot = take_snapshot(spec, tmp_path)
    assert content(snapshot, "steps/0/script.py") == block.encode()
    assert snapshot.python == "3.13"
    assert str(snapshot.base) == "docker.io/library/python:3.13-slim"
    make_tree(tmp_path, {"train.py": f"{block}\nprint(2)\n".replace("\n", "\r\n")})
    assert take_snapshot(spec, tmp_path) == snapshot


def test_a_dockerfile_keeps_its_own_context(tmp_path: Path) -> None:
    """The text is apart, the files at the root, the base unknown."""
    text = "FROM x\nARG TOKEN\nRUN curl https://$TOKEN@h.example/\n"
    make_tree(tmp_path, {"Dockerfile": text, "a/b": "1", ".dockerignore": "a"})
    snapshot = take_snapshot(
        ImageSpec.from_dockerfile("Dockerfile", name="t"), tmp_path
    )
    assert snapshot.dockerfile == text
    assert snapshot.base is None
    assert paths(snapshot) == [".dockerignore", "Dockerfile"]


def test_a_relative_root_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later change of directory does not move the files."""
    make_tree(tmp_path, {"sub/a": "x"})
    monkeypatch.chdir(tmp_path)
    snapshot = take_snapshot(SPEC.with_files("a", "/a"), Path("sub"))
    monkeypatch.chdir("/")
    assert b"".join(tar_chunks(snapshot.members))


def test_names_and_content_of_a_step(tmp_path: Path) -> None:
    """A step's content does not depend on its number."""
    make_tree(tmp_path, {"a": "x"})
    spec = SPEC.with_files("a", "/1").with_files("a", "/2").with_apt("git")
    snapshot = take_snapshot(spec, tmp_path)
    assert snapshot.names(1) == {"file"}
    assert snapshot.names(2) == frozenset()
    assert snapshot.content(0) == snapshot.content(1) != snapshot.content(2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.with_files("gone", "/x"), "files step 0"),
        (lambda s: s.with_apt("git").with_requirements("gone"), "requirements step 1"),
        (lambda s: s.with_requirements("directory"), "requirements step 0"),
        (lambda s: s.with_lock("gone/pylock.toml"), "lock step 0"),
        (lambda s: s.with_project("gone"), "project step 0"),
        (lambda s: s.with_wheel("gone/*.whl"), "wheel step 0"),
        (lambda s: s.with_packages("a", find_links=["gone"]), "packages step 0"),
        (lambda s: s.with_packages("a", find_links=["directory"]), "no distributions"),
        (lambda s: s.with_files("fifo", "/x"), "not a regular file"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, change: Callable[[ImageSpec], ImageSpec], told: str
) -> None:
    """The error names the step and the path, and says where paths start."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SpecError) as caught:
        take_snapshot(change(SPEC), tmp_path)
    assert told in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "spec",
    [
        ImageSpec.from_dockerfile("gone", name="t"),
        ImageSpec.from_dockerfile("Dockerfile", name="t", context="gone"),
        ImageSpec.from_dockerfile("binary", name="t"),
        ImageSpec.from_script("gone", name="t"),
    ],
)
def test_what_a_dockerfile_or_script_lacks(tmp_path: Path, spec: ImageSpec) -> None:
    """Missing, or not UTF-8: an error that names the file."""
    make_tree(tmp_path, {"Dockerfile": "FROM x", "binary": b"\xff\xfe"})
    with pytest.raises(SpecError, match=r"gone|binary"):
        take_snapshot(spec, tmp_path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda s: s.with_apt("git"), False),
        (lambda s: s.with_packages("a", find_links=["https://x.example/"]), False),
        (lambda s: s.with_env(A="1").with_workdir("/w").with_user("1"), False),
        (lambda s: s.with_run("true").with_labels({"a": "b"}), False),
        (lambda s: s.with_entrypoint("x"), False),
        (lambda s: s.with_packages("a", find_links=["wheels"]), True),
        (lambda s: s.with_requirements("r.txt"), True),
        (lambda s: s.with_lock("pylock.toml"), True),
        (lambda s: s.with_project("."), True),
        (lambda s: s.with_wheel("*.whl"), True),
        (lambda s: s.with_files("a", "/a"), True),
        (lambda _: ImageSpec.from_script("a.py", name="a"), True),
        (lambda _: ImageSpec.from_dockerfile("Dockerfile", name="a"), True),
    ],
)
def test_only_specs_without_files_are_taken_without_looking(
    change: Callable[[ImageSpec], ImageSpec], *, expected: bool
) -> None:
    """Whatever reads a file is read each time; the rest is a pure function."""
    spec = change(ImageSpec("a", base="b"))
    assert names_files(spec) is expected
    if not expected:
        assert pure_snapshot(spec) == take_snapshot(spec, Path("/nowhere"))
