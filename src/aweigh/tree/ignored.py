"""Whether one path is left out of a tree, without walking it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.tree.builtin import DIRECTORY_MARKS
from aweigh.tree.ignore import key
from aweigh.tree.rules import AWEIGHIGNORE, BUILTIN, GITIGNORE, FolderRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.tree.rules import Rules

__all__ = ["folders_inside", "why_ignored"]


def why_ignored(root: str, rules: Rules, path: str) -> str:
    """Name the rule that leaves a path out; empty when it is in.

    Blocks on the disk. ``include`` plays no part. The path need not exist any more:
    then it counts as a file.

    Args:
        root: The absolute path of the tree, without symlinks.
        rules: What is left out.
        path: Below the root, with ``/``.

    Raises:
        OSError: An ignore file cannot be read.
    """
    state, base = FolderRules.at_root(rules, root)
    folder = ""
    *above, name = path.split("/")
    for each in above:
        state = _entering(state, root, folder, base)
        rule = _why(state, root, folder, each, base, is_folder=True)
        if rule:
            return rule
        folder = f"{folder}{each}/"
    state = _entering(state, root, folder, base)
    at = Path(root, path)
    is_folder = at.is_dir() and not at.is_symlink()
    return _why(state, root, folder, name, base, is_folder=is_folder)


def folders_inside(root: str, rules: Rules) -> Iterator[str]:
    """Iterate over the directories of a tree that are in, the root first.

    Blocks on the disk; what cannot be read or vanishes has nothing inside.

    Args:
        root: The absolute path of the tree, without symlinks.
        rules: What is left out.
    """
    state, base = FolderRules.at_root(rules, root)
    waiting = [("", state)]
    while waiting:
        folder, state = waiting.pop()
        yield f"{root}/{folder}".rstrip("/")
        try:
            with os.scandir(f"{root}/{folder}") as listing:
                folders = [
                    entry.name
                    for entry in listing
                    if entry.is_dir(follow_symlinks=False)
                ]
            state = _entering(state, root, folder, base)
        except OSError:
            continue
        waiting += [
            (f"{folder}{name}/", state)
            for name in folders
            if not _why(state, root, folder, name, base, is_folder=True)
        ]


def _entering(state: FolderRules, root: str, folder: str, base: str) -> FolderRules:
    names = [
        name
        for name in (AWEIGHIGNORE, GITIGNORE)
        if os.path.lexists(f"{root}/{folder}{name}")
    ]
    at = base + key(folder)
    return state.entering(f"{root}/{folder}".rstrip("/"), names, shown=folder, at=at)


def _why(
    state: FolderRules, root: str, folder: str, name: str, base: str, *, is_folder: bool
) -> str:
    at = base + key(folder)
    pattern = state.table(at).first(key(name), at, is_folder=is_folder)
    if pattern is not None:
        return "" if pattern.negated else pattern.shown
    if is_folder:
        for mark in DIRECTORY_MARKS:
            if os.path.lexists(f"{root}/{folder}{name}/{mark}"):
                return f"{BUILTIN}{mark}"
    return ""
