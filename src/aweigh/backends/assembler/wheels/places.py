"""Where what an installer unpacked belongs inside an environment."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.image.install import VENV
from aweigh.image.lock import normalised

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["DATA_DIRECTORIES", "VENV_PATH", "Places", "site_packages"]

VENV_PATH: Final = VENV.removeprefix("/")
# Where wheels put what is no module, relative to the environment: the schemes
# ``scripts``, ``data`` and ``headers`` of PEP 427 as `uv pip install --target` maps
# them: beside the modules.
DATA_DIRECTORIES: Final = frozenset(
    {"bin", "etc", "include", "lib", "man", "sbin", "share", "var"}
)


def site_packages(python: str) -> str:
    """Return where modules go, relative to the root of the image."""
    return f"{VENV_PATH}/lib/python{python}/site-packages"


@dataclass(frozen=True, slots=True)
class Places:
    """Maps paths of a stage to paths of the image.

    Attributes:
        python: The Python version as ``X.Y``.
        data: Which top directories of the stage belong to the environment itself.
        names: The distributions, normalised: below ``include`` those of each are in a
            directory of its name.
    """

    python: str
    data: frozenset[str]
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, python: str, paths: Collection[str]) -> Places:
        """Tell data from packages that happen to have such a name."""
        packages = {
            path.removesuffix("/__init__.py")
            for path in paths
            if path.endswith("/__init__.py")
        }
        infos = (path.partition("/")[0] for path in paths)
        names = {
            normalised(info.partition("-")[0])
            for info in infos
            if info.endswith(".dist-info")
        }
        data = DATA_DIRECTORIES - (packages - {"bin"})
        return cls(python, data, frozenset(names))

    def in_image(self, path: str) -> str:
        """Return where a staged file goes, relative to the root of the image."""
        first, slash, below = path.partition("/")
        if not slash or first not in self.data:
            return f"{site_packages(self.python)}/{path}"
        if first == "include" and normalised(below.partition("/")[0]) in self.names:
            # Where environments have headers; an installer's target has no such place.
            return f"{VENV_PATH}/include/site/python{self.python}/{below}"
        return f"{VENV_PATH}/{path}"

    def in_record(self, path: str) -> str:
        """Return how RECORD names a staged file: from site-packages."""
        first, slash, _ = path.partition("/")
        if slash and first in self.data:
            return posixpath.relpath(self.in_image(path), site_packages(self.python))
        return path
