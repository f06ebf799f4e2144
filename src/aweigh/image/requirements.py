"""Requirements files: flattened, with every include beside them and renamed."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from aweigh.errors import SpecError
from aweigh.image import grammar
from aweigh.image.local_requirement import LocalRequirement, read_local

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.sources import Sources

__all__ = ["read_requirements"]

# The format pip documents ("Requirements File Format"), which uv follows.
_INCLUDE = re.compile(
    r"(?P<option>-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<path>.+)"
)
_LINKS = re.compile(r"(?:-f|--find-links)(?:\s*=\s*|\s*)(?P<link>.+)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=\s*|\s+|(?<=-e))")
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_LINE_OPTION = re.compile(r"\s--?[a-z].*$")
_CONTINUED = re.compile(r"\\\r?\n")
_LOCAL_HINT = "write a local project as ./directory[extra]"


def read_requirements(text: str, sources: Sources) -> tuple[Member, ...]:
    """Read a requirements file and all it includes, as ``requirements.txt`` and more.

    Includes (``-r``, ``-c``) may lie anywhere, outside the root too: each file becomes
    ``include-<n>.txt`` in order of appearance, and the lines that name it say so.
    Local projects come along in ``local/<n>``.

    Raises:
        SpecError: A file cannot be read, includes itself, names something local that
            is no project, or a URL carries credentials.
        TreeError: A local project cannot be read.
    """
    flattener = _Flattener(sources)
    flattener.add(sources.locate(text), ())
    files = (flattener.members[name] for name in flattener.names.values())
    return (*files, *flattener.trees)


class _Flattener:
    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.names: dict[Path, str] = {}
        self.members: dict[str, Member] = {}
        self.local: dict[str, str] = {}
        self.trees: list[Member] = []

    def add(self, path: Path, includers: tuple[Path, ...]) -> str:
        """Read a file once and return its name in the context."""
        real = path.resolve()
        if real in includers:
            raise SpecError(
                f"{self.sources.step}: {path} includes itself", hint="break the circle"
            )
        if real not in self.names:
            number = len(self.names)
            name = f"include-{number}.txt" if number else "requirements.txt"
            self.names[real] = name
            lines = self._lines(path, (*includers, real))
            self.members[name] = self.sources.keep(name, "\n".join(lines).encode())
        return self.names[real]

    def _lines(self, path: Path, includers: tuple[Path, ...]) -> list[str]:
        text = _CONTINUED.sub("", self.sources.read_text(path))
        stripped = (_COMMENT.sub("", line).strip() for line in text.splitlines())
        return [
            self._line(path, line, includers) for line in filter(None, stripped)
        ] + [""]

    def _line(self, path: Path, line: str, includers: tuple[Path, ...]) -> str:
        if include := _INCLUDE.fullmatch(line):
            target = "".join(shlex.split(include["path"]))
            if "://" in target:
                self._refuse(path, line, "download the file and include that")
            return f"{include['option']} {self.add(path.parent / target, includers)}"
        if local := self._local(path, line):
            return local
        if links := _LINKS.fullmatch(line):
            if not grammar.is_url(links["link"]):
                self._refuse(path, line, "name local directories in find_links=")
        elif not line.startswith("-"):
            self._check(path, line)
        return line

    def _local(self, path: Path, line: str) -> str:
        """Take a local project along; return what the line says then.

        Installed as editable or not is the same here: images hold copies. As with pip,
        the path starts where the spec's own paths do, not where this file is.
        """
        editable = _EDITABLE.match(line)
        one = LocalRequirement.parse(line[editable.end() :] if editable else line)
        if one is None:
            if editable:
                self._refuse(path, line, _LOCAL_HINT)
            return ""
        if _LINE_OPTION.search(one.path):
            self._refuse(path, line, "leave the options of this line out")
        if one.path not in self.local:
            key = str(len(self.local))
            real = self.sources.locate(one.path)
            self.local[one.path], members = read_local(real, key, self.sources)
            self.trees += members
        return one.at(self.local[one.path])

    def _check(self, path: Path, line: str) -> None:
        wanted = _LINE_OPTION.sub("", line).strip()
        if grammar.is_url(wanted):
            return
        try:
            grammar.check_requirement(wanted)
        except SpecError as exc:
            raise SpecError(
                f"{self.sources.step}: {path}: {exc}", hint=exc.hint
            ) from exc

    def _refuse(self, path: Path, line: str, hint: str) -> None:
        raise SpecError(f"{self.sources.step}: {path}: cannot use {line!r}", hint=hint)
