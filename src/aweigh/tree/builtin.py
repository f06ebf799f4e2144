"""What never goes into a tree unless an ``.aweighignore`` takes it back in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BUILTIN_EXCLUDES", "DIRECTORY_MARKS", "BuiltinExclude"]


@dataclass(frozen=True, slots=True)
class BuiltinExclude:
    """A pattern that counts without being asked for.

    Attributes:
        pattern: In the syntax of ``.gitignore``, counted from the root.
        reason: Why nobody wants it on another machine.
    """

    pattern: str
    reason: str


_HISTORY: Final = "version control: large, and never needed at run time"
_VENV: Final = "a virtual environment: bound to this machine, the image has its own"
_BYTECODE: Final = "compiled on this machine, compiled again on the other"
_CACHE: Final = "a tool's cache: other content on every machine"
_PACKAGES: Final = "installed packages: they belong into the image"
_SETTINGS: Final = "the file manager's settings"
_OURS: Final = "aweigh's own files"
_SECRETS: Final = "environment files usually hold secrets"
_EXAMPLE: Final = "a template without secrets"
_PRIVATE: Final = "usually a private key"
_LOGIN: Final = "holds credentials"

# build/ and dist/ are missing on purpose: some jobs need them, and whoever does not
# has them in .gitignore. Negated lines take back what an earlier line left out.
BUILTIN_EXCLUDES: Final = tuple(
    BuiltinExclude(pattern, reason)
    for reason, patterns in (
        (_HISTORY, (".git", ".hg/", ".svn/", ".bzr/", ".jj/")),
        (_VENV, (".venv/", "venv/")),
        (_BYTECODE, ("__pycache__/", "*.pyc")),
        (_CACHE, (".mypy_cache/", ".ruff_cache/", ".pytest_cache/", ".hypothesis/")),
        (_CACHE, (".tox/", ".nox/", ".ipynb_checkpoints/")),
        (_PACKAGES, ("node_modules/",)),
        (_SETTINGS, (".DS_Store",)),
        (_OURS, (".aweigh/",)),
        (_SECRETS, (".env", ".env.*")),
        (_EXAMPLE, ("!.env.example", "!.env.sample", "!.env.template", "!.env.dist")),
        (_PRIVATE, ("*.pem", "*.key", "*.p12", "*.pfx", "id_rsa", "id_dsa")),
        (_PRIVATE, ("id_ecdsa", "id_ed25519", ".ssh/")),
        (_LOGIN, (".netrc", ".pgpass", ".pypirc", ".git-credentials")),
        (_LOGIN, ("**/.docker/config.json", "**/.aws/credentials", "**/.kube/config")),
    )
    for pattern in patterns
)
# A directory that holds one of these is a virtual environment or a cache (Cache
# Directory Tagging Specification, bford.info/cachedir), whatever its name.
DIRECTORY_MARKS: Final = ("pyvenv.cfg", "CACHEDIR.TAG")
