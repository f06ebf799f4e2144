"""A content digest: ``sha256:`` and 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from aweigh.errors import InvalidDigestError

__all__ = ["Digest"]

# The OCI image spec also registers sha512 and blake3; registries and engines of
# today only produce sha256, and one algorithm means one name per content.
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The name of some bytes, as the OCI image spec writes it.

    Attributes:
        hex: 64 lower-case hexadecimal digits.
    """

    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``sha256:<64 hex digits>``.

        Raises:
            InvalidDigestError: It is anything else.
        """
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise InvalidDigestError(
                f"{text!r} is not a digest",
                hint="write it as sha256: followed by 64 lower-case hex digits",
            )
        return cls(match[1])

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Digest some bytes that are in memory."""
        return cls(hashlib.sha256(content).hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
