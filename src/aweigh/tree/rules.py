"""Which files of a directory belong to its tree."""

from __future__ import annotations

import functools
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.errors import SettingsError
from aweigh.tree.builtin import BUILTIN_EXCLUDES
from aweigh.tree.ignore import Ignores, Pattern, Source, key, parse_lines, parse_pattern
from aweigh.tree.repository import find_repository

if TYPE_CHECKING:
    from collections.abc import Container

    from aweigh.tree.ignore import Table

__all__ = ["AWEIGHIGNORE", "BUILTIN", "GITIGNORE", "FolderRules", "Rules"]

GITIGNORE: Final = ".gitignore"
AWEIGHIGNORE: Final = ".aweighignore"
BUILTIN: Final = "built-in: "


@dataclass(frozen=True, slots=True)
class Rules:
    """What is left out of a tree, strongest first.

    ``exclude``; ``.aweighignore`` files, the deepest first; the built-in list
    (`aweigh.tree.builtin`); ``.gitignore`` files, the deepest first, up to the root
    of the work tree, and ``.git/info/exclude``. The first that has a matching line
    decides, and within one file its last matching line. Nothing can be taken back in
    below a directory that is left out. Whether git tracks a file plays no part, and
    neither do a user's own global excludes: other machines do not have them. Case
    counts on every system.

    Attributes:
        builtin: Whether the built-in list counts.
        gitignore: Whether git's ignore files count.
        include: When not empty: only what matches one of these, or lies in a
            directory that does, and is not left out otherwise.
        exclude: Patterns that are always left out. Both have the syntax of
            ``.gitignore`` without ``!``: ``*.bin`` at any depth, ``data/*.bin`` and
            ``/data`` from the root, ``**`` for any number of directories.

    Raises:
        SettingsError: A pattern can match nothing.
    """

    builtin: bool = True
    gitignore: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse patterns that look meant and mean nothing."""
        for option, patterns in ("include", self.include), ("exclude", self.exclude):
            for text in patterns:
                if text.startswith("!") or _option(option, text) is None:
                    raise SettingsError(
                        f"{option} pattern {text!r} matches nothing",
                        hint="write it like a line of .gitignore, without '!'",
                    )


@functools.lru_cache(maxsize=256)
def _option(option: str, text: str) -> Pattern | None:
    return parse_pattern(key(text), shown=f"--{option} {text}")


def _options(option: str, texts: tuple[str, ...]) -> Source:
    patterns = (_option(option, text) for text in texts)
    return Source("", tuple(each for each in patterns if each is not None))


@functools.cache
def _builtin() -> tuple[Pattern, ...]:
    patterns = (
        parse_pattern(each.pattern, shown=f"{BUILTIN}{each.pattern}")
        for each in BUILTIN_EXCLUDES
    )
    return tuple(pattern for pattern in patterns if pattern is not None)


class FolderRules:
    """The rules as they stand in one folder; deeper folders may add their own."""

    __slots__ = ("_aweigh", "_fixed", "_git", "_gitignore", "_ignores")

    def __init__(
        self,
        fixed: tuple[Source, tuple[Source, ...]],
        *,
        gitignore: bool,
        aweigh: tuple[Source, ...],
        git: tuple[Source, ...],
    ) -> None:
        """Line up sources; use `at_root` and `entering`."""
        self._fixed = fixed
        self._gitignore = gitignore
        self._aweigh = aweigh
        self._git = git
        exclude, builtin = fixed
        self._ignores = Ignores((exclude, *aweigh, *builtin, *git))

    @classmethod
    def at_root(cls, rules: Rules, root: str) -> tuple[FolderRules, str]:
        """Start at a tree's root: the rules, and the root's folder in their terms.

        Args:
            rules: What counts.
            root: An absolute path.
        """
        repository = find_repository(root)
        base = key(repository.inside) if rules.gitignore else ""
        git: list[Source] = []
        if rules.gitignore:
            for folder, path in repository.ignore_files:
                content = read_ignore_file(path)
                shown = os.path.relpath(path, root)
                if content:
                    git.append(Source(key(folder), parse_lines(content, name=shown)))
        exclude = _options("exclude", rules.exclude)
        builtin = (Source(base, _builtin()),) if rules.builtin else ()
        fixed = (Source(base, exclude.patterns), builtin)
        state = cls(fixed, gitignore=rules.gitignore, aweigh=(), git=tuple(git))
        return state, base

    def entering(
        self, path: str, names: Container[str], *, shown: str, at: str
    ) -> FolderRules:
        """Take in a folder's own ignore files, if it has any.

        Args:
            path: The folder, to read from.
            names: What is in it.
            shown: Its path below the root with a final slash, for people.
            at: Its path in the rules' terms.

        Raises:
            OSError: An ignore file cannot be read.
        """
        aweigh, git = self._aweigh, self._git
        if AWEIGHIGNORE in names:
            aweigh = (_own(path, AWEIGHIGNORE, shown, at), *aweigh)
        if self._gitignore and GITIGNORE in names:
            git = (_own(path, GITIGNORE, shown, at), *git)
        if aweigh is self._aweigh and git is self._git:
            return self
        return FolderRules(
            self._fixed, gitignore=self._gitignore, aweigh=aweigh, git=git
        )

    def table(self, at: str) -> Table:
        """The patterns for the names of a folder, given in the rules' terms."""
        return self._ignores.table(at)


def included(rules: Rules, base: str) -> Ignores | None:
    """Compile ``include``; None when everything is in."""
    if not rules.include:
        return None
    return Ignores((Source(base, _options("include", rules.include).patterns),))


def _own(path: str, name: str, shown: str, at: str) -> Source:
    content = read_ignore_file(f"{path}/{name}")
    return Source(at, parse_lines(content, name=f"{shown}{name}"))


def read_ignore_file(path: str) -> bytes:
    """Read an ignore file; empty when it is none, a symlink for instance, as in git.

    Raises:
        OSError: It is a file that cannot be read.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except PermissionError:
        raise
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
