"""Scans: complete, exact, cheap when nothing changed, and never of moving files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.errors import ChangedError, TreeError
from aweigh.oci.digest import Digest
from aweigh.tree import clock, content, digests, look, rules
from aweigh.tree import names as tree_names
from aweigh.tree.entry import Entry, Kind
from aweigh.tree.pieces import Piece
from aweigh.tree.rules import Rules
from aweigh.tree.scan import Tree, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ALL = Rules(builtin=False, gitignore=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small directory."""
    root = tmp_path / "root"
    write(root, {"main.py": "print(1)\n", "pkg/a.py": "a", "pkg/b.py": "b"})
    return root


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as old enough at once."""
    monkeypatch.setattr(clock, "_MARGIN", -3_600_000_000_000)


def write(root: Path, files: dict[str, str]) -> None:
    """Make the files and their directories."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def paths(found: Tree) -> list[str]:
    """The paths of a tree."""
    return [entry.path for entry in found.entries]


def reference(root: Path) -> list[Entry]:
    """The slow, obvious way to list a directory without rules."""
    entries = []
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        prefix = "" if inside == "." else f"{inside}/"
        if not folders and not files and prefix:
            entries.append(Entry(inside, Kind.DIRECTORY, False, 0, None))
        for name in [*files, *folders]:
            path = Path(folder, name)
            if path.is_symlink():
                target = os.readlink(path)  # noqa: PTH115
                entries.append(
                    Entry(prefix + name, Kind.SYMLINK, False, 0, None, target)
                )
            elif path.is_file():
                data = path.read_bytes()
                executable = bool(path.stat().st_mode & 0o100)
                digest = Digest(hashlib.sha256(data).hexdigest())
                entries.append(
                    Entry(prefix + name, Kind.FILE, executable, len(data), digest)
                )
    return sorted(entries, key=lambda entry: os.fsencode(entry.path))


names = st.one_of(
    st.sampled_from(["a", "a-b", "a.b", "a0", "b", "é", "x\ny", "A", "ü"]),
    st.binary(min_size=1, max_size=5).map(os.fsdecode),
).filter(lambda name: name not in {".", ".."} and not {"/", "\0"} & set(name))
actions = st.lists(
    st.tuples(
        st.lists(names, min_size=1, max_size=3).map("/".join),
        st.sampled_from(["file", "run", "folder", "link"]),
        st.binary(max_size=20),
    ),
    max_size=10,
)


def apply(root: Path, todo: list[tuple[str, str, bytes]]) -> None:
    """Make files, links and directories, where nothing is in the way."""
    for path, kind, data in todo:
        place = root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if kind == "folder":
                place.mkdir(exist_ok=True)
            elif kind == "link":
                place.symlink_to("a/b")
            else:
                place.write_bytes(data)
                place.chmod(0o755 if kind == "run" else 0o644)
        except OSError:
            continue


@given(actions, actions)
@settings(max_examples=80, deadline=None)
def test_equal_to_the_obvious_way_also_after_edits(
    first: list[tuple[str, str, bytes]], then: list[tuple[str, str, bytes]]
) -> None:
    """With and without a memory of what was there before."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        apply(root, first)
        before = scan(root, ALL)
        assert list(before.entries) == reference(root)
        assert before.size == sum(entry.size for entry in before.entries)
        apply(root, then)
        after = scan(root, ALL, remembered=before.signature)
        assert list(after.entries) == reference(root)
        for entry in after.entries:
            assert after.source(entry) == root.resolve() / entry.path


@pytest.mark.usefixtures("settled")
def test_an_unchanged_tree_is_not_read(tree: Path) -> None:
    """The same signature means the same entries; one edit reads one file."""
    first = scan(tree, ALL)
    assert (first.read, first.reusable) == (3, True)
    second = scan(tree, ALL, remembered=first.signature)
    assert second.read == 0
    assert (second.signature, second.entries) == (first.signature, first.entries)
    write(tree, {"pkg/a.py": "A"})
    third = scan(tree, ALL, remembered=second.signature)
    assert third.read == 1
    assert third.signature != second.signature
    assert list(third.entries) == reference(tree)


@pytest.mark.usefixtures("settled")
def test_unchanged_is_said_only_of_trees_with_equal_entries(tree: Path) -> None:
    """Neither a file more or less nor what makes an empty directory an entry."""
    write(tree, {"stale/__pycache__/m.pyc": "", "new/a": ""})
    (tree / "pkg/link").symlink_to("a.py")
    last = scan(tree, Rules())
    assert not last.unchanged
    edits: list[Callable[[], object]] = [
        (tree / "stale/__pycache__/m.pyc").unlink,
        (tree / "stale/__pycache__").rmdir,
        (tree / "stale").rmdir,
        lambda: (tree / "new/a").rename(tree / "new/b"),
        (tree / "pkg/link").unlink,
        lambda: (tree / "main.py").chmod(0o755),
        lambda: write(tree, {"void/deep/.gitignore": "*.o\n"}),
        lambda: write(tree, {".gitignore": "b.py\n"}),
    ]
    for edit in edits:
        edit()
        found = scan(tree, Rules(), remembered=last.signature)
        assert found.unchanged == (found.entries == last.entries)
        assert found.unchanged == (found.signature == last.signature)
        last = found
        assert scan(tree, Rules(), remembered=last.signature).unchanged


@pytest.mark.usefixtures("settled")
def test_what_is_remembered_may_stand_behind_other_bytes(tree: Path) -> None:
    """The caller's own; the signature is not copied to be taken apart."""
    first = scan(tree, ALL)
    (piece,) = first.signature
    value = b"mine" + piece.body
    assert scan(tree, ALL, remembered=[Piece(value, 4)]).unchanged
    assert not scan(tree, ALL, remembered=[Piece(value)]).unchanged


@pytest.mark.usefixtures("settled")
def test_inode_numbers_of_64_bits_are_remembered(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do not fit what counts with a sign; a bit less tells them apart too."""
    monkeypatch.setattr(
        look, "_NUMBERS", lambda found: (*digests.numbers(found)[:4], 1 << 63)
    )
    first = scan(tree, ALL)
    assert list(first.entries) == reference(tree)
    assert scan(tree, ALL, remembered=first.signature).unchanged


def test_entries_are_a_sequence(tree: Path) -> None:
    """By number, in slices, from the end; equal to the same in a list."""
    found = scan(tree, ALL).entries
    listed = list(found)
    assert (len(found), found[1], found[-1]) == (3, listed[1], listed[2])
    assert found[1:] == tuple(listed[1:])
    assert list(found) == listed
    assert found == listed
    assert found != listed[1:]
    assert found != 3


@pytest.mark.usefixtures("settled")
def test_a_directory_with_many_files(tmp_path: Path) -> None:
    """More than is packed in one go; one edit in it reads one file."""
    for number in range(8300):
        (tmp_path / f"{number}").touch()
    first = scan(tmp_path, ALL)
    assert len(first.entries) == first.files == 8300
    assert scan(tmp_path, ALL, remembered=first.signature).unchanged
    (tmp_path / "8299").write_text("x")
    second = scan(tmp_path, ALL, remembered=first.signature)
    assert (second.read, second.size) == (1, 1)


@pytest.mark.usefixtures("settled")
def test_a_restored_mtime_does_not_hide_an_edit(tree: Path) -> None:
    """Size and mtime as before, other content: the ctime tells."""
    path = tree / "pkg/a.py"
    before = path.stat()
    first = scan(tree, ALL)
    path.write_text("X")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = scan(tree, ALL, remembered=first.signature)
    assert second.entries[1].digest == Digest.of(b"X")


@pytest.mark.usefixtures("settled")
def test_new_metadata_alone_costs_a_reading_and_changes_nothing(tree: Path) -> None:
    """A file replaced by its copy, a hard link: other times, equal entries."""
    first = scan(tree, ALL)
    (tree / "copy").write_text("a")
    (tree / "copy").rename(tree / "pkg/a.py")
    os.link(tree / "main.py", tree.parent / "elsewhere")
    second = scan(tree, ALL, remembered=first.signature)
    assert second.read == 2
    assert second.entries == first.entries
    assert scan(tree, ALL, remembered=second.signature).read == 0


def test_young_files_are_read_again(tree: Path) -> None:
    """Until its times are 2 s old, a file may change without showing it."""
    os.utime(tree / "main.py", ns=(1, 1))
    first = scan(tree, ALL)
    assert not first.reusable
    second = scan(tree, ALL, remembered=first.signature)
    assert second.read == 3
    assert second.entries == first.entries
    time.sleep(max(0.0, 2.1 - (time.time() - (tree / "main.py").stat().st_ctime)))
    third = scan(tree, ALL, remembered=second.signature)
    assert (third.read, third.reusable) == (3, True)
    assert scan(tree, ALL, remembered=third.signature).read == 0


def test_times_of_the_future_are_not_believed(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that went back leaves files that are younger than now."""
    monkeypatch.setattr(clock, "_MARGIN", -60_000_000_000)
    os.utime(tree / "main.py", (time.time() + 3600, time.time() + 3600))
    first = scan(tree, ALL)
    assert not first.reusable
    assert scan(tree, ALL, remembered=first.signature).read == 1


@pytest.mark.usefixtures("settled")
def test_damaged_and_foreign_memories_are_ignored(tree: Path) -> None:
    """Whatever the bytes: the entries are right, at the price of reading."""
    good = scan(tree, ALL)
    (piece,) = good.signature
    whole = piece.body
    for at in range(0, len(whole), 7):
        for bad in whole[:at], whole[:at] + b"x", whole[at:]:
            if bad != whole:
                found = scan(tree, ALL, remembered=[Piece(bad)])
                assert (found.read, found.entries) == (3, good.entries)
    other = scan(tree / "pkg", ALL).signature
    assert scan(tree, ALL, remembered=other).entries == good.entries
    assert scan(tree, ALL, follow=True, remembered=good.signature).read == 3


@pytest.mark.usefixtures("settled")
def test_rules_may_change_without_reading_again(tree: Path) -> None:
    """Digests belong to files, not to rules: taking one out reads nothing."""
    first = scan(tree, ALL)
    rules = Rules(exclude=("b.py",))
    second = scan(tree, rules, remembered=first.signature)
    assert (paths(second), second.read) == (["main.py", "pkg/a.py"], 0)


def test_special_files_are_skipped_and_never_opened(tree: Path) -> None:
    """FIFOs and sockets are named; nothing waits for a writer."""
    os.mkfifo(tree / "queue")
    where = os.getcwd()  # noqa: PTH109
    os.chdir(tree)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("sock")
            found = scan(tree, ALL)
    finally:
        os.chdir(where)
    assert {each.path: each.rule for each in found.skipped} == {
        "queue": "fifo",
        "sock": "socket",
    }
    assert "queue" not in paths(found)


def test_symlinks_inside_stay_symlinks(tree: Path) -> None:
    """To files, directories, nothing and themselves."""
    links = {"pkg/up": "../main.py", "dir": "pkg", "gone": "pkg/no", "self": "self"}
    for path, target in links.items():
        (tree / path).symlink_to(target)
    found = {entry.path: entry for entry in scan(tree, ALL).entries}
    assert {path: found[path].target for path in links} == links
    assert {found[path].kind for path in links} == {Kind.SYMLINK}
    assert "dir/a.py" not in found


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "..", "../root/main.py", "pkg/../../x", "out/x"]
)
def test_symlinks_that_lead_out_are_errors(tree: Path, target: str) -> None:
    """By text, through another link, or because the path is absolute."""
    if target.startswith("out"):
        (tree / "out").symlink_to(tree.parent)
    (tree / "link").symlink_to(target)
    with pytest.raises(TreeError) as caught:
        scan(tree, ALL)
    assert "link" in caught.value.paths
    assert "follow" in caught.value.hint
    found = scan(tree, Rules(exclude=("link", "out")))
    assert paths(found) == ["main.py", "pkg/a.py", "pkg/b.py"]


def test_followed_symlinks_are_what_they_point_to(tree: Path) -> None:
    """Content from outside, directories too; `source` says where to read it."""
    write(tree.parent, {"outside/data.txt": "data", "outside/sub/x": "x"})
    (tree / "link.txt").symlink_to("../outside/data.txt")
    (tree / "dir").symlink_to("../outside")
    found = scan(tree, ALL, follow=True)
    assert paths(found) == [
        *("dir/data.txt", "dir/sub/x", "link.txt", "main.py", "pkg/a.py", "pkg/b.py"),
    ]
    link = found.entries[2]
    assert (link.kind, link.digest) == (Kind.FILE, Digest.of(b"data"))
    assert found.source(link) == (tree.parent / "outside/data.txt").resolve()


@pytest.mark.parametrize("target", [".", "pkg", "..", "../root/pkg"])
def test_following_in_a_circle_is_an_error(tree: Path, target: str) -> None:
    """A link back into a directory it is in has no end."""
    (tree / "pkg/loop").symlink_to(f"../{target}" if target != ".." else "..")
    with pytest.raises(TreeError, match="loop"):
        scan(tree, ALL, follow=True)


def test_following_to_nowhere_is_an_error(tree: Path) -> None:
    """There is no content to take."""
    (tree / "gone").symlink_to("nothing")
    (tree / "self").symlink_to("self")
    with pytest.raises(TreeError) as caught:
        scan(tree, ALL, follow=True)
    assert sorted(caught.value.paths) == ["gone", "self"]


def test_empty_directories_and_what_is_left_of_others(tree: Path) -> None:
    """Really empty or emptied by the owner's rules: in. Only caches: out."""
    (tree / "void/inner").mkdir(parents=True)
    write(
        tree,
        {
            ".gitignore": "*.log\n",
            "logs/x.log": "",
            "stale/__pycache__/m.pyc": "",
            "stale/deep/__pycache__/m.pyc": "",
            "void0": "",
        },
    )
    (tree / "void").chmod(0o755)
    kinds = {entry.path: entry.kind for entry in scan(tree, Rules()).entries}
    assert [path for path, kind in kinds.items() if kind == Kind.DIRECTORY] == [
        *("logs", "void/inner"),
    ]
    assert not [path for path in kinds if path.startswith("stale")]


def test_the_root_must_be_a_directory(tmp_path: Path) -> None:
    """Missing, a file, or all of the machine: each with a hint."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "self").symlink_to("self")
    for root in tmp_path / "gone", tmp_path / "file", tmp_path / "self", Path("/"):
        with pytest.raises(TreeError) as caught:
            scan(root, ALL)
        assert caught.value.hint
    (tmp_path / "link").symlink_to(".")
    assert scan(tmp_path / "link", Rules(exclude=("self", "link"))).root == (
        tmp_path.resolve()
    )


def test_a_tree_over_its_limit_names_the_largest_files(tree: Path) -> None:
    """Before anything is read."""
    for number in range(8):
        write(tree, {f"data/{number}.bin": "x" * (100 + number)})
    with pytest.raises(TreeError, match="bundle_size_limit") as caught:
        scan(tree, ALL, size_limit=300)
    assert caught.value.paths == tuple(f"data/{n}.bin" for n in range(7, 2, -1))
    assert scan(tree, ALL, size_limit=100_000).size > 800


def test_unreadable_files_and_directories_are_named() -> None:
    """At most ten, never silently left out."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        write(root, {f"secret/{number}": "x" for number in range(15)})
        write(root, {"shut/x": "x", "ok": "", "rules/.gitignore": ""})
        for path in root.glob("secret/*"):
            path.chmod(0)
        shown = scan_as_nobody(root)
        assert len(shown) == 10
        assert all(path.startswith("secret/") for path in shown)
        (root / "shut").chmod(0)
        assert scan_as_nobody(root) == ("shut",)
        (root / "shut").chmod(0o755)
        (root / "rules/.gitignore").chmod(0)
        assert scan_as_nobody(root) == ("rules/.gitignore",)
        write(root, {".git/HEAD": "", "rules/inner/x": ""})
        assert scan_as_nobody(root / "rules/inner") == ("../.gitignore",)


def scan_as_nobody(root: Path) -> tuple[str, ...]:
    """Scan without root's rights; the paths of the error."""
    uid = os.geteuid()
    if uid == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(TreeError, match="cannot read") as caught:
            scan(root, Rules())
    finally:
        os.seteuid(uid)
    return caught.value.paths


def test_collisions_are_told() -> None:
    """Names that are one where case or composition does not count."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, {"A/x": "", "a/y": "", "d/\u00e9": "", "d/e\u0301": "", "d/f": ""})
        assert scan(root, ALL).collisions == (
            ("A", "a"),
            ("d/e\u0301", "d/\u00e9"),
        )


def test_a_file_that_vanishes_is_absent(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the walk and the reading: gone is gone."""
    on_reading(monkeypatch, (tree / "pkg/a.py").unlink)
    (tree / "pkg/link").symlink_to("a.py")
    assert paths(scan(tree, ALL)) == ["main.py", "pkg/b.py", "pkg/link"]


def test_what_vanishes_during_the_walk_is_absent(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories between listing and looking, links before they are read."""
    (tree / "link").symlink_to("main.py")

    def vanish(*_: object) -> None:
        for path in tree.glob("pkg/*"):
            path.unlink()
        (tree / "pkg").rmdir()

    original = rules.FolderRules.entering

    def entering(self: rules.FolderRules, *args: object, **more: object) -> object:
        if (tree / "pkg").exists():
            vanish()
        return original(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rules.FolderRules, "entering", entering)
    on_reading(monkeypatch, (tree / "link").unlink)
    assert paths(scan(tree, ALL)) == ["main.py"]


def test_a_directory_that_vanishes_while_it_is_looked_into_is_absent(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks empty then, and is not an empty directory."""
    (tree / "void").mkdir()
    original = rules.FolderRules.entering

    def entering(self: rules.FolderRules, path: str, *rest: object, **more: object):  # type: ignore[no-untyped-def] # noqa: ANN202
        if path.endswith("/void/"):
            (tree / "void").rmdir()
        return original(self, path, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(rules.FolderRules, "entering", entering)
    assert paths(scan(tree, ALL)) == ["main.py", "pkg/a.py", "pkg/b.py"]


def on_reading(monkeypatch: pytest.MonkeyPatch, change: object) -> None:
    """Do something once, just before contents are looked at."""
    original = content.Contents.gather

    def gather(self: content.Contents) -> Generator[None, None, None]:
        change()  # type: ignore[operator]
        yield from original(self)

    monkeypatch.setattr(content.Contents, "gather", gather)


def test_an_edit_between_walk_and_reading_is_read_again(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One edit is followed; entry and content belong together."""
    on_reading(monkeypatch, lambda: write(tree, {"main.py": "longer than before"}))
    found = scan(tree, ALL)
    assert found.entries[0].digest == Digest.of(b"longer than before")
    assert found.entries[0].size == 18


def test_a_file_that_keeps_changing_is_named(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that never stops ends in an error, not in a wrong digest."""
    path = tree / "main.py"
    original = os.read

    def read(descriptor: int, size: int) -> bytes:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == path.resolve():
            with path.open("a") as file:
                file.write("#")
        return original(descriptor, size)

    path.write_text("once")
    monkeypatch.setattr(os, "read", read)
    with pytest.raises(ChangedError) as caught:
        scan(tree, ALL)
    assert caught.value.paths == ("main.py",)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_a_file_replaced_by_something_else_is_named(tmp_path: Path, kind: str) -> None:
    """Neither followed nor waited for."""
    path = tmp_path / "x"
    path.write_text("x")
    seen = digests.identity(path.stat())
    path.unlink()
    if kind == "symlink":
        path.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ChangedError):
        digests.digest_file(str(path), seen, follow=False, shown="x")


def test_a_deep_tree_needs_no_deep_stack() -> None:
    """As deep as paths may be long."""
    folder = tempfile.mkdtemp()
    try:
        path = folder
        while len(path) < 3900:
            path += "/d"
            os.mkdir(path)  # noqa: PTH102
        Path(path, "leaf").write_text("x")
        found = scan(Path(folder), ALL)
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)
    assert paths(found) == [f"{path}/leaf".removeprefix(f"{folder}/")]


def test_many_names_are_sorted_by_their_bytes() -> None:
    """Long lists are sorted in runs that are merged."""
    many = [f"{number * 7919 % 20011}é" for number in range(20011)]
    assert tree_names.in_order(many) == sorted(many, key=os.fsencode)


async def test_the_loop_stays_awake(tree: Path) -> None:
    """One worker thread: no stretch of more than some milliseconds."""
    for number in range(3000):
        write(tree, {f"d{number % 30}/{number}.py": "x" * 100})
    gaps = []
    job = asyncio.ensure_future(asyncio.to_thread(scan, tree, Rules()))
    last = time.perf_counter()
    while not job.done():
        await asyncio.sleep(0.001)
        gaps.append(time.perf_counter() - last)
        last = time.perf_counter()
    assert len((await job).entries) == 3003
    # Loose, as the machine may be busy: half of all ticks come within 20 ms.
    assert sorted(gaps)[len(gaps) // 2] < 0.02
