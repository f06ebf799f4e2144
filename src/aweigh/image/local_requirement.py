"""Requirements that are projects of this machine, such as ``./libs/mine[extra]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from aweigh.errors import SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.sources import Sources

__all__ = [
    "LOCAL",
    "SOURCE_ARCHIVES",
    "LocalRequirement",
    "read_local",
]

LOCAL = "local"
"""Where a step's own sources are in its part of the context: ``local/<key>/...``."""

SOURCE_ARCHIVES = (".tar.gz", ".zip")
_DIRECTORY = "tree"
_EXTRAS = r"\[(?P<{name}>[A-Za-z0-9._,\s-]*)\]"
# What pip and uv take for a path: it starts like one. A name may be before it.
_LOCAL = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:" + _EXTRAS.format(name="before") + r")?\s*@)?"
    r"\s*(?P<path>(?:file:|\.\.?(?=[/\[;\s]|$)|/)[^\[;]*?)\s*"
    r"(?:" + _EXTRAS.format(name="after") + r")?\s*(?:;\s*(?P<marker>.+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class LocalRequirement:
    """A project that is taken from this machine.

    Attributes:
        path: Where it is, as it was written.
        extras: Its extras with their brackets; empty when there are none.
        marker: When it is wanted; empty for always.
    """

    path: str
    extras: str = ""
    marker: str = ""

    @classmethod
    def parse(cls, text: str) -> LocalRequirement | None:
        """Read one; None when it is a requirement of another kind.

        Raises:
            SpecError: It is a ``file:`` URL with a host, a query or a fragment.
        """
        match = _LOCAL.fullmatch(text.strip())
        if match is None:
            return None
        names = re.split(r"[,\s]+", match["before"] or match["after"] or "")
        extras = ",".join(sorted(filter(None, names)))
        return cls(
            _path(match["path"], text),
            f"[{extras}]" if extras else "",
            (match["marker"] or "").strip(),
        )

    def at(self, place: str) -> str:
        """Write it as a requirement for a project that is somewhere else."""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{place}{self.extras}{marker}"

    def named(self, name: str, url: str) -> str:
        """Write it as a requirement for a project whose name is known."""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{name}{self.extras} @ {url}{marker}"


def _path(text: str, requirement: str) -> str:
    if not text.lower().startswith("file:"):
        return text
    url = urlsplit(text)
    if url.netloc not in {"", "localhost"} or url.query or url.fragment:
        raise SpecError(
            f"{requirement!r} is no path of this machine",
            hint="write it as ./directory[extra], relative to the root",
        )
    return unquote(url.path)


def read_local(
    path: Path, key: str, sources: Sources
) -> tuple[str, tuple[Member, ...]]:
    """Read a project's directory, a source distribution or a wheel.

    Args:
        path: Where it is.
        key: What it is called in the context.
        sources: The step's files.

    Returns:
        Where it is relative to the step's place, as ``./local/<key>/...``, and its
        members.

    Raises:
        SpecError: There is nothing, or nothing that could be installed.
        TreeError: Something in the directory cannot be read, or leads out of it.
    """
    place = f"{LOCAL}/{key}"
    if path.is_dir():
        if not any((path / one).is_file() for one in ("pyproject.toml", "setup.py")):
            raise SpecError(
                f"{sources.step}: {path} is no Python project",
                hint="it needs a pyproject.toml or setup.py",
            )
        name = f"{place}/{_DIRECTORY}"
        return f"./{name}", sources.tree(path, name)
    if not path.name.endswith((".whl", *SOURCE_ARCHIVES)):
        raise SpecError(
            f"{sources.step}: {path} is neither a project's directory nor a package",
            hint="name a directory, a .whl, a .tar.gz or a .zip",
        )
    name = f"{place}/{path.name}"
    return f"./{name}", (sources.file(path, name),)
