"""Reads what a spec's steps name, below one root, into members of a build context."""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from typing import TYPE_CHECKING, NoReturn, assert_never

from aweigh.archive.member import Member
from aweigh.errors import SpecError
from aweigh.image.grammar import CREDENTIAL_HINT, find_userinfo
from aweigh.oci import Digest
from aweigh.tree.entry import Entry, Kind
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Sources"]


class Sources:
    """The files of one step.

    Small files that say what to install are kept in memory as they were read; others
    are digested in one read and read again, and compared, when the context is packed.
    """

    def __init__(self, root: Path, *, step: str, prefix: str) -> None:
        """Read for one step.

        Args:
            root: Where relative paths start.
            step: What messages call the step.
            prefix: Its directory in the context, such as ``steps/2``.
        """
        self.root = root
        self.step = step
        self.prefix = prefix

    def locate(self, text: str) -> Path:
        """Resolve a path of the spec against the root."""
        return self.root / text

    def read_any_text(self, path: Path) -> str:
        """Read a small UTF-8 file whose content is the user's own business.

        Raises:
            SpecError: It is missing or is no UTF-8.
        """
        try:
            return path.read_bytes().decode("utf-8-sig")
        except OSError as exc:
            self.fail_reading(path, exc)
        except UnicodeDecodeError as exc:
            raise SpecError(
                f"{self.step}: {path} is no UTF-8 text", hint="save it as UTF-8"
            ) from exc

    def read_text(self, path: Path) -> str:
        """Read a small UTF-8 file that must carry no credentials.

        Raises:
            SpecError: It is missing, is no UTF-8 or has a URL with credentials.
        """
        text = self.read_any_text(path)
        for number, line in enumerate(text.splitlines(), 1):
            if find_userinfo(line):
                raise SpecError(
                    f"{self.step}: {path} line {number} has a URL with credentials",
                    hint=CREDENTIAL_HINT,
                )
        return text

    def parse_toml(self, path: Path, text: str) -> Mapping[str, object]:
        """Parse TOML.

        Raises:
            SpecError: It is no TOML.
        """
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as exc:
            raise SpecError(
                f"{self.step}: {path} is no TOML: {exc}", hint="correct that line"
            ) from exc

    def keep(self, name: str, content: bytes) -> Member:
        """Make a member of bytes that were read or generated."""
        return Member(
            path=f"{self.prefix}/{name}",
            kind="file",
            size=len(content),
            source=content,
            digest=Digest.of(content),
        )

    def file(self, path: Path, name: str) -> Member:
        """Digest one regular file, following symlinks, in one read.

        Raises:
            SpecError: It is missing, no regular file or cannot be read.
        """
        return digest_file(self, path, f"{self.prefix}/{name}")

    def tree(self, path: Path, name: str) -> tuple[Member, ...]:
        """Scan a directory with the ignore rules of a bundle.

        Raises:
            TreeError: Something in it cannot be read or leads out of it.
        """
        place = f"{self.prefix}/{name}"
        found = scan(path, Rules())
        members = (_member(path, place, entry) for entry in found.entries)
        return (Member(path=place, kind="directory"), *members)

    def fail_reading(self, path: Path, exc: OSError) -> NoReturn:
        """Say which step wanted which file.

        Raises:
            SpecError: Always.
        """
        raise SpecError(
            f"{self.step}: cannot read {path}: {exc.strerror or exc}",
            hint=f"relative paths start at {self.root}",
        ) from exc


def digest_file(sources: Sources, path: Path, place: str) -> Member:
    """Make a member of a regular file for any place in the context.

    Raises:
        SpecError: It is missing, no regular file or cannot be read.
    """
    try:
        real = path.resolve(strict=True)
        # A FIFO must not hang the open: whatever it turns out to be is asked after.
        with open(real, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(22, "not a regular file")  # noqa: TRY301
            found = hashlib.file_digest(file, "sha256")
            size = file.tell()
    except OSError as exc:
        sources.fail_reading(path, exc)
    return Member(
        path=place,
        kind="file",
        executable=bool(status.st_mode & stat.S_IXUSR),
        size=size,
        source=real,
        digest=Digest(found.hexdigest()),
    )


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _member(root: Path, place: str, entry: Entry) -> Member:
    path = f"{place}/{entry.path}"
    match entry.kind:
        case Kind.FILE:
            return Member(
                path=path,
                kind="file",
                executable=entry.executable,
                size=entry.size,
                source=root / entry.path,
                digest=entry.digest,
            )
        case Kind.SYMLINK:
            return Member(path=path, kind="symlink", target=entry.target)
        case Kind.DIRECTORY:
            return Member(path=path, kind="directory")
        case _:
            assert_never(entry.kind)
