"""The tiny layer that makes an environment of directories, and holds its lock."""

from __future__ import annotations

import posixpath
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Member
from aweigh.backends.assembler.bases.probe import unpacked
from aweigh.backends.assembler.layers.members import in_directories
from aweigh.backends.assembler.wheels.places import VENV_PATH, site_packages
from aweigh.memory import digest_parts
from aweigh.oci import Digest

if TYPE_CHECKING:
    from aweigh.backends.assembler.bases.base import BaseFacts
    from aweigh.image.lock import Lock

__all__ = ["LOCK_PATH", "environment_key", "environment_members", "lock_in"]

LOCK_PATH: Final = f"{VENV_PATH}/pylock.toml"
_FORMAT: Final = "environment-1"


def environment_key(facts: BaseFacts, lock: Lock) -> Digest:
    """Name the content of this layer before it exists."""
    parts = [_FORMAT, facts.python, facts.interpreter, lock.text]
    return Digest(digest_parts(parts).hex())


def environment_members(facts: BaseFacts, lock: Lock) -> tuple[Member, ...]:
    """List the environment's own files (PEP 405) and the lock it was made from."""
    home = facts.interpreter.rpartition("/")[0]
    settings = (
        f"home = {home}\n"
        "include-system-site-packages = true\n"
        f"version = {facts.python}\n"
    )
    program = f"{VENV_PATH}/bin/python"
    return in_directories(
        [
            _file(f"{VENV_PATH}/pyvenv.cfg", settings),
            _file(LOCK_PATH, lock.text),
            _link(program, facts.interpreter),
            _link(f"{program}3", "python"),
            _link(f"{program}{facts.python}", "python"),
            Member(path=site_packages(facts.python), kind="directory"),
        ]
    )


def lock_in(layer: bytes, *, limit: int) -> str | None:
    """Read the lock out of a packed layer; None when it has none.

    Args:
        layer: The blob.
        limit: Bytes it may have at most when it is unpacked.

    Raises:
        DamagedError: It has more, or is not packed as it says.
        tarfile.TarError: It is no archive.
    """
    plain = b"".join(unpacked(iter([layer]), limit=limit))
    with tarfile.open(fileobj=BytesIO(plain)) as archive:
        for entry in archive:
            if posixpath.normpath(entry.name.lstrip("/")) == LOCK_PATH:
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is not None:
                    return file.read().decode()
    return None


def _file(path: str, text: str) -> Member:
    content = text.encode()
    return Member(path=path, kind="file", size=len(content), source=content)


def _link(path: str, target: str) -> Member:
    return Member(path=path, kind="symlink", target=target)
