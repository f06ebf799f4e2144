"""RECORD: which files an installed distribution consists of (PEP 376, PEP 427)."""

from __future__ import annotations

import base64
import binascii
import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Row", "read_record", "write_record"]

_SHA256 = "sha256="


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One file of a distribution.

    Attributes:
        path: Where it is, from site-packages.
        hash: ``sha256=`` and its digest in URL-safe base64; empty for RECORD itself.
        size: Its size in bytes, or empty.
    """

    path: str
    hash: str = ""
    size: str = ""

    @classmethod
    def of(cls, path: str, content: bytes) -> Row:
        """Describe some bytes."""
        digest = bytes.fromhex(Digest.of(content).hex)
        text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return cls(path, f"{_SHA256}{text}", str(len(content)))

    @property
    def digest(self) -> Digest | None:
        """The digest of the file, or None when the row does not say one we know."""
        if not self.hash.startswith(_SHA256):
            return None
        text = self.hash.removeprefix(_SHA256)
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error:
            return None
        return Digest(raw.hex()) if len(raw) == 32 else None  # noqa: PLR2004 - SHA-256


def read_record(text: str) -> list[Row]:
    """Read the rows of a RECORD file; ones without a path are none."""
    found = csv.reader(io.StringIO(text))
    return [Row(*(*row, "", "")[:3]) for row in found if row and row[0]]


def write_record(rows: Iterable[Row]) -> bytes:
    """Write a RECORD file; equal rows give equal bytes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows((row.path, row.hash, row.size) for row in sorted(set(rows)))
    return out.getvalue().encode("utf-8", "surrogateescape")
