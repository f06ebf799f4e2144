"""The watcher: what is edited is told, what is left out is not."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aweigh.backends.watcher import TreeWatcher
from aweigh.bundle.scanner import bundle_rules
from aweigh.errors import TreeError
from aweigh.flow.watched import Watched, watched_by
from aweigh.image.spec import ImageSpec
from aweigh.tree.rules import Rules


async def told(changes: AsyncIterator[frozenset[str]], name: str) -> None:
    """Wait until a path that ends so is told."""
    async with asyncio.timeout(10):
        async for paths in changes:
            if any(path.endswith(name) for path in paths):
                return


async def nothing(changes: AsyncIterator[frozenset[str]]) -> None:
    """Make sure that nothing is told for a while."""
    waiting = asyncio.ensure_future(anext(changes))
    done, _ = await asyncio.wait({waiting}, timeout=0.4)
    assert not done, waiting.result()
    waiting.cancel()


async def test_tells_edits_also_in_new_directories(tmp_path: Path) -> None:
    """Changed, made, renamed and deleted; a directory that is new is watched too."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").touch()
    rules = bundle_rules(tmp_path, (), ())
    async with TreeWatcher([Watched(root=tmp_path, rules=rules)]).changes() as changes:
        (tmp_path / "sub" / "a.py").write_text("1")
        await told(changes, "sub/a.py")
        (tmp_path / "new" / "deep").mkdir(parents=True)
        await told(changes, "new")
        (tmp_path / "new" / "deep" / "b.py").write_text("1")
        await told(changes, "")
        await asyncio.sleep(0.3)
        (tmp_path / "new" / "deep" / "c.py").write_text("1")
        await told(changes, "deep/c.py")
        (tmp_path / "sub" / "a.py").rename(tmp_path / "z.py")
        await told(changes, "z.py")
        shutil.rmtree(tmp_path / "new")
        await told(changes, "new")


async def test_says_nothing_of_what_is_left_out(tmp_path: Path) -> None:
    """Until the ignore file says otherwise: that is an edit itself."""
    (tmp_path / "a.py").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / ".gitignore").write_text("out/\n*.log\n")
    rules = bundle_rules(tmp_path, (), (), [tmp_path / "cache"])
    async with TreeWatcher([Watched(root=tmp_path, rules=rules)]).changes() as changes:
        (tmp_path / "out" / "a.py").write_text("1")
        (tmp_path / "x.log").write_text("1")
        (tmp_path / "cache").mkdir()
        (tmp_path / "__pycache__").mkdir()
        (tmp_path / "__pycache__" / "a.pyc").write_text("1")
        await nothing(changes)
    async with TreeWatcher([Watched(root=tmp_path, rules=rules)]).changes() as changes:
        (tmp_path / ".gitignore").write_text("*.log\n")
        await told(changes, ".gitignore")
        await asyncio.sleep(0.3)
        (tmp_path / "out" / "b.py").write_text("1")
        await told(changes, "out/b.py")


async def test_watches_what_the_image_is_made_of(tmp_path: Path) -> None:
    """Files where they lie, and nothing deeper; directories with all they hold."""
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "config" / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    spec = (
        ImageSpec("x")
        .with_requirements("requirements.txt")
        .with_files("config", "/config")
        .with_packages("./lib")
        .with_wheel("gone/*.whl")
    )
    watched = watched_by(spec, tmp_path)
    assert watched == [
        Watched(root=tmp_path, rules=None),
        Watched(root=tmp_path / "config", rules=Rules()),
    ]
    async with TreeWatcher(watched).changes() as changes:
        (tmp_path / "other" / "x").write_text("1")
        await nothing(changes)
    async with TreeWatcher(watched).changes() as changes:
        (tmp_path / "requirements.txt").write_text("anyio")
        await told(changes, "requirements.txt")
        (tmp_path / "config" / "deep" / "x").write_text("1")
        await told(changes, "deep/x")


async def test_what_cannot_be_watched_is_an_error(tmp_path: Path) -> None:
    """It is raised where somebody waits for edits."""
    watcher = TreeWatcher([Watched(root=tmp_path / "gone", rules=None)])
    with pytest.raises(TreeError, match="cannot watch"):
        async with watcher.changes() as changes:
            await anext(changes)
