"""Where what an installer unpacked belongs inside an environment."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.image.install import VENV

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
    """

    python: str
    data: frozenset[str]

    @classmethod
    def of(cls, python: str, paths: Collection[str]) -> Places:
        """Tell data from packages that happen to have such a name."""
        packages = {
            path.removesuffix("/__init__.py")
            for path in paths
            if path.endswith("/__init__.py")
        }
        return cls(python, DATA_DIRECTORIES - (packages - {"bin"}))

    def in_image(self, path: str) -> str:
        """Return where a staged file goes, relative to the root of the image."""
        first, slash, _ = path.partition("/")
        if slash and first in self.data:
            return f"{VENV_PATH}/{path}"
        return f"{site_packages(self.python)}/{path}"

    def in_record(self, path: str) -> str:
        """Return how RECORD names a staged file: from site-packages."""
        first, slash, _ = path.partition("/")
        if slash and first in self.data:
            root = site_packages(self.python)
            return posixpath.relpath(f"{VENV_PATH}/{path}", root)
        return path
