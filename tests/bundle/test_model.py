"""Bundles against a slow and obvious model: trees of every kind, and restless ones."""

# ruff: noqa: PTH103, PTH118, PTH120, PTH123, PTH101, PTH211

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aweigh.bundle.fetch import fetch
from aweigh.bundle.recall import BundlePolicy
from aweigh.errors import ChangedError
from aweigh.events import silent
from aweigh.testing.store import MemoryStore
from tests.bundle import restless
from tests.bundle.helpers import Bench
from tests.bundle.judge import digest_of, judge, lines_of
from tests.bundle.kills import KILL_ROUNDS, tell

KIB = 1 << 10
LIMIT = 224 * KIB
ODD = [
    b"a",
    b"b",
    b"A",
    b"m.py",
    b"\xff\xfe",
    b"new\nline",
    "\u00e9".encode(),
    "e\u0301".encode(),
    b"x" * 255,
    b" ",
    b"-rf",
    b"a\\b",
    b"*?[",
    b"#",
    b"!x",
    b"\x01\x7f",
]


def _is_plain(name: bytes) -> bool:
    # No rule that is built in leaves it out, and it is no ignore file.
    left_out = (
        b".",
        b"venv",
        b"node_modules",
        b"__pycache__",
        b"id_",
        b"CACHEDIR",
        b"py",
    )
    return not name.startswith(left_out) and name[-4:-3] != b"."


NAMES = st.sampled_from(ODD) | st.binary(min_size=1, max_size=40).map(
    lambda raw: raw.translate(None, b"/\0") or b"_"
).filter(_is_plain)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(tuple) | st.just(
    (b"deep",) * 100 + (b"end",)
)
SIZE = st.integers(0, 300) | st.sampled_from(
    [
        64 * KIB - 70,
        64 * KIB,
        LIMIT - 65,
        LIMIT - 1,
        LIMIT,
        LIMIT + 1,
        100 * KIB,
        5 << 20,
    ]
)
FILES = st.tuples(st.sampled_from([0o644, 0o755]), SIZE, st.integers(0, 3))
LINKS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
NODES = st.one_of(FILES, FILES, LINKS, st.none())
TREES = st.dictionaries(PATHS, NODES, max_size=12)

Node: TypeAlias = tuple[int, int, int] | bytes | None
Tree: TypeAlias = dict[tuple[bytes, ...], Node]


def write(tree: Tree, root: bytes) -> None:
    """Write a tree, leaving out what cannot be beside what came before."""
    os.makedirs(root)
    with open(os.path.join(root, b"always"), "wb") as file:
        file.write(b"something")
    for names, node in tree.items():
        path = os.path.join(root, *names)
        # A link is a leaf: writing below one would write elsewhere, or fail.
        above = (os.path.join(root, *names[:depth]) for depth in range(1, len(names)))
        if any(map(os.path.islink, above)):
            continue
        try:
            os.makedirs(path if node is None else os.path.dirname(path), exist_ok=True)
            match node:
                case None:
                    pass
                case bytes():
                    os.symlink(node, path)
                case mode, size, seed:
                    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                    with open(descriptor, "wb") as file:
                        file.write((b"%d" % seed * size)[:size])
                    os.chmod(path, mode)
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            continue


def made(tree: Tree, root: Path) -> bytes:
    """Write a tree below a directory of this machine."""
    path = os.path.join(os.fsencode(root), b"code")
    write(tree, path)
    return path


BUSY = settings(max_examples=40, suppress_health_check=list(HealthCheck))


@BUSY
@given(tree=TREES)
@example(tree={(b"%03d" % n,): (0o644, 3000, n % 3) for n in range(200)})
def test_a_bundle_is_what_the_format_says(tree: Tree) -> None:
    """Its digest is that of a second, independent reading; each object stands alone."""
    with tempfile.TemporaryDirectory() as folder:
        root = made(tree, Path(folder))
        store = MemoryStore()
        bundle = asyncio.run(Bench(store=store).upload(Path(os.fsdecode(root))))
        assert bundle.digest.hex == digest_of(root)
        judged = judge(store.objects)
        assert judged.bundles == {bundle.digest.hex}
        files = {line[0] for line, _ in lines_of(root) if line[1] in b"fx"}
        assert judged.files[bundle.digest.hex].keys() == files


@BUSY
@given(tree=TREES)
def test_what_goes_in_comes_out(tree: Tree) -> None:
    """Names, kinds, exec bits, contents, targets and empty directories, as bytes."""

    async def there_and_back(root: Path, out: Path) -> None:
        store = MemoryStore()
        bundle = await Bench(store=store).upload(root)
        await fetch(store, bundle.digest, out, listener=silent)
        (out / ".aweigh-bundle").unlink()
        again = await Bench(store=store).upload(out)
        assert again.uploaded_bytes == 0
        assert again.digest == bundle.digest

    with tempfile.TemporaryDirectory() as folder:
        root = made(tree, Path(folder))
        out = Path(folder, "out")
        asyncio.run(there_and_back(Path(os.fsdecode(root)), out))
        assert lines_of(os.fsencode(out)) == lines_of(root)


@BUSY
@given(one=TREES, other=TREES | st.none(), touched=PATHS, node=NODES)
def test_digests_are_equal_exactly_when_trees_are(
    one: Tree, other: Tree | None, touched: tuple[bytes, ...], node: Node
) -> None:
    """Two trees, or one and itself with a single difference, in another order."""
    changed = dict(reversed(one.items())) | {touched: node}
    with tempfile.TemporaryDirectory() as folder:
        roots = [
            made(one, Path(folder, "1")),
            made(changed if other is None else other, Path(folder, "2")),
        ]
        digests = [
            asyncio.run(Bench().upload(Path(os.fsdecode(root)))).digest
            for root in roots
        ]
        same = lines_of(roots[0]) == lines_of(roots[1])
        assert (digests[0] == digests[1]) == same


def test_restless_trees_are_never_torn(tmp_path: Path) -> None:
    """Each file of a bundle was like that once, and restlessness has an own error.

    The files say which version they are, in every part, and half a version is only
    right where its writer paused. Remembered trees are used, as in real life.
    """
    root = tmp_path / "code"
    root.mkdir()
    restless.settle(root)
    seen: list[str] = []
    store = MemoryStore()
    # The store is emptied behind its back, so that it must be asked each time.
    bench = Bench(store=store, policy=BundlePolicy(fresh_for=-1))
    program = [sys.executable, restless.__file__, str(root)]
    for number in range(KILL_ROUNDS):
        child = subprocess.Popen([*program, str(number)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"ready\n"
        try:
            out = tmp_path / "out"
            for _ in range(4):
                seen.append(asyncio.run(_one_upload(bench, root, out)))
                _wait_for_a_change(root)
        finally:
            child.kill()
            child.wait()
        # At rest, what is uploaded is what is there.
        bundle = asyncio.run(bench.upload(root))
        assert bundle.digest.hex == digest_of(os.fsencode(root))
        judge(store.objects)
        store.objects.clear()
        for left in [*root.glob("*.away"), *root.glob("*.new")]:
            left.rename(left.with_suffix(""))
    refused = seen.count("")
    outcomes = Counter(different=len(set(seen)), refused=refused)
    tell("uploads of a restless tree", outcomes, len(seen))
    assert len(set(seen)) > len(seen) / 3


def _wait_for_a_change(root: Path) -> None:
    # A quiet machine uploads many times in one pause of who changes the tree.
    before, until = _changes(root), time.monotonic() + 60
    while _changes(root) == before:
        assert time.monotonic() < until
        time.sleep(0.001)


def _changes(root: Path) -> dict[str, int]:
    found = {}
    for path in root.iterdir():
        with suppress(FileNotFoundError):  # renamed
            found[path.name] = path.stat().st_mtime_ns
    return found


async def _one_upload(bench: Bench, root: Path, out: Path) -> str:
    try:
        bundle = await bench.upload(root)
    except ChangedError as error:
        return "" if error.paths else "nothing is named"
    await fetch(bench.store, bundle.digest, out, listener=silent)
    for path in out.iterdir():
        if path.name != ".aweigh-bundle":
            assert restless.is_a_state(path.read_bytes()), path.name
    shutil.rmtree(out)
    return bundle.digest.hex
