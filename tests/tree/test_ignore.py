"""Ignore rules against git itself, on generated trees and generated patterns."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aweigh.tree import clock
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan

PLAIN = Rules(builtin=False)
atoms = st.sampled_from(
    [
        *("a", "b", "c", "ab", "foo", ".", ".log", "é", " ", "!", "#", "-", "\\", "]"),
        *("*", "*", "**", "?", "/", "/", "**/", "/**", "[ab]", "[!a]", "[^b-]", "["),
        *("[a-c]", "[]a]", "[a\\]b]", "[[:alpha:]]", "[[:x:]]", "[[:a]", "[b-a]"),
        *("[/]", "[!/]", "\\/", "\\*", "***", "[a-\\c]", "[\\a-c]", "[[:", "\t", "\r"),
    ]
)
lines = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "", "", "!", "/", "#", "\\!"]),
        st.lists(atoms, max_size=6).map("".join),
        st.sampled_from(["", "", "/", " ", "\\ ", "  ", "\r"]),
    ),
)
ignore_files = st.lists(lines, max_size=5).map("\n".join)
names = st.sampled_from(
    ["a", "b", "ab", "foo", "a.log", "é", "x y", "[a]", "a-b", "A", "a\\", "#a", "!b"]
)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str]:
    """Files by path, ``.gitignore`` files at several levels among them."""
    folders = ["", *draw(st.lists(names.map("{}/".format), max_size=3, unique=True))]
    for _ in range(draw(st.integers(0, 4))):
        folders.append(draw(st.sampled_from(folders)) + draw(names) + "/")
    files: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
            if f"{folder}{name}/" not in folders:
                files[folder + name] = ""
        if not folder or draw(st.booleans()):
            files[f"{folder}.gitignore"] = draw(ignore_files)
    return files


def write(root: Path, files: dict[str, str]) -> None:
    """Make the files and their directories."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode())


def git_files(root: Path) -> list[str]:
    """What git would add."""
    listed = subprocess.run(
        [
            *("git", "-c", "core.excludesFile=/dev/null"),
            *("ls-files", "-co", "--exclude-standard", "-z"),
        ],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    return sorted(os.fsdecode(path) for path in listed.split(b"\0") if path)


def our_files(root: Path, rules: Rules = PLAIN) -> list[str]:
    """What a tree has besides git's own directory."""
    entries = scan(root, rules).entries
    return sorted(
        entry.path
        for entry in entries
        if entry.kind != "directory" and not entry.path.startswith(".git/")
    )


def repository(root: Path) -> None:
    """Make an empty repository."""
    subprocess.run(["git", "init", "-q", root], check=True)


@given(trees(), st.lists(lines, max_size=2).map("\n".join))
@settings(max_examples=150, deadline=None)
@example({".gitignore": "foo**/bar\n", "foobar": "", "foox/y/bar": ""}, "")
@example({".gitignore": "a/\n!a/b\n", "a/b": "", "b/a": ""}, "")
@example({".gitignore": "a/*\n!a/b\n", "a/b": "", "a/c": ""}, "")
@example({".gitignore": "*.log\n", "d/.gitignore": "!x.log", "d/x.log": ""}, "*")
@example({".gitignore": "\ufeffa\n", "a": ""}, "b")
@example({".gitignore": "?\n[!a]\n", "é": "", "b": ""}, "")
def test_the_same_files_as_git(files: dict[str, str], exclude: str) -> None:
    """Exactly what ``git ls-files -co --exclude-standard`` lists."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        repository(root)
        write(root, files)
        (root / ".git/info/exclude").write_bytes(exclude.encode())
        assert our_files(root) == git_files(root)


@given(trees(), ignore_files, st.sampled_from(["", "a/", "b/"]))
@settings(max_examples=60, deadline=None)
def test_remembered_decisions_hold_for_the_same_rules_only(
    files: dict[str, str], then: str, where: str
) -> None:
    """After other rules, what is remembered changes neither entries nor reasons."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        # Files count as old enough to be believed at once.
        patch.setattr(clock, "_MARGIN", -3_600_000_000_000)
        root = Path(folder)
        repository(root)
        write(root, files)
        first = scan(root, PLAIN)
        assert scan(root, PLAIN, remembered=first.signature).unchanged
        if (root / where).is_dir():
            (root / where / ".gitignore").write_bytes(then.encode())
        for rules in PLAIN, Rules(builtin=False, include=("a", "b")):
            fresh = scan(root, rules)
            again = scan(root, rules, remembered=first.signature)
            assert again.entries == fresh.entries
            assert set(again.skipped) == set(fresh.skipped)


@given(trees())
@settings(max_examples=25, deadline=None)
def test_a_directory_inside_a_work_tree(files: dict[str, str]) -> None:
    """Parents' ignore files count, up to the root of the work tree."""
    with tempfile.TemporaryDirectory() as folder:
        repository(Path(folder))
        write(Path(folder), files)
        for inner in sorted({path.rpartition("/")[0] for path in files} - {""}):
            above = inner.split("/")
            parents = ["/".join(above[:end]) for end in range(1, len(above) + 1)]
            wanted = git_files(Path(folder) / inner)
            # A directory that is ignored itself was named on purpose: it is taken.
            if not any(ignored(Path(folder), parent) for parent in parents):
                assert our_files(Path(folder) / inner) == wanted


def ignored(root: Path, path: str) -> bool:
    """Whether git ignores a path."""
    return not subprocess.run(
        ["git", "check-ignore", "-q", "--", f"./{path}/"], cwd=root, check=False
    ).returncode


def test_a_linked_work_tree_shares_its_excludes(tmp_path: Path) -> None:
    """``.git`` may be a file that names another directory."""
    main = tmp_path / "main"
    repository(main)
    (main / ".git/info/exclude").write_text("*.bin\n")
    git = ["git", "-C", str(main), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    linked = tmp_path / "linked"
    subprocess.run([*git, "worktree", "add", "-q", str(linked)], check=True)
    write(linked, {"a.bin": "", "a.py": ""})
    assert our_files(linked) == [".git", "a.py"]
    assert our_files(linked, Rules()) == git_files(linked) == ["a.py"]
    (linked / ".git").write_text("gitdir: ../nowhere\n")
    assert our_files(linked, Rules()) == ["a.bin", "a.py"]


def test_every_level_may_have_an_aweighignore(tmp_path: Path) -> None:
    """It has the same syntax, and beats the built-in list and ``.gitignore``."""
    write(
        tmp_path,
        {
            ".gitignore": "*.log\nbuild/\n",
            ".aweighignore": "!keep.log\n!/build/\n!.env\n*.txt\n!venv\n",
            "d/.aweighignore": "!*.txt\nz\n",
            **dict.fromkeys(
                ("a.log", "keep.log", "build/x", "d/build/x", ".env", "a.txt"), ""
            ),
            **dict.fromkeys(("d/a.txt", "d/z", "z", "venv/pyvenv.cfg"), ""),
        },
    )
    tree = scan(tmp_path, Rules())
    assert [entry.path for entry in tree.entries] == [
        *(".aweighignore", ".env", ".gitignore", "build/x", "d/.aweighignore"),
        *("d/a.txt", "keep.log", "venv/pyvenv.cfg", "z"),
    ]
    assert {each.path: each.rule for each in tree.skipped} == {
        "a.log": ".gitignore:1: *.log",
        "a.txt": ".aweighignore:4: *.txt",
        "d/build/": ".gitignore:2: build/",
        "d/z": "d/.aweighignore:2: z",
    }


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_what_is_no_file_is_no_ignore_file(tmp_path: Path, kind: str) -> None:
    """Like git, symlinks are not followed; a FIFO does not block."""
    write(tmp_path, {"a": "", "rules": "a\n"})
    path = tmp_path / ".gitignore"
    if kind == "symlink":
        path.symlink_to("rules")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert "a" in our_files(tmp_path)
