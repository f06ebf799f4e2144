"""A platform: ``os/architecture[/variant]`` in Go's words, as OCI uses them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Self

from aweigh.errors import InvalidPlatformError

__all__ = ["Platform"]

_PART = re.compile(r"[a-z0-9_.-]+", re.ASCII)

# What uname and people say -> (architecture, variant) of the OCI image spec.
_ARCHITECTURES: dict[str, tuple[str, str | None]] = {
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armv8": ("arm64", None),
    "armv7l": ("arm", "v7"),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", None),
    "i686": ("386", None),
}
# Two spellings of one platform, by the rules of containerd/platforms (database.go,
# normalizeArch): linux/arm64/v8 is linux/arm64, and linux/arm is linux/arm/v7.
_VARIANTS = {
    ("arm64", "8"): "",
    ("arm64", "v8"): "",
    ("amd64", "v1"): "",
    ("arm", ""): "v7",
    ("arm", "5"): "v5",
    ("arm", "6"): "v6",
    ("arm", "7"): "v7",
    ("arm", "8"): "v8",
}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """Where an image can run.

    Attributes:
        os: Operating system, such as ``linux``.
        architecture: Processor architecture, such as ``amd64``.
        variant: Processor variant, such as ``v7``; empty when there is none.
    """

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``os/architecture[/variant]``, normalising common spellings.

        Raises:
            InvalidPlatformError: It has another shape.
        """
        parts = text.lower().split("/")
        if len(parts) not in (2, 3) or not all(map(_PART.fullmatch, parts)):
            raise InvalidPlatformError(
                f"{text!r} is not a platform",
                hint="write os/architecture, such as linux/amd64 or linux/arm64",
            )
        return cls.of(*parts)

    @classmethod
    def of(cls, os: str, architecture: str, variant: str = "") -> Self:
        """Make the one normal form of these parts."""
        spelled = architecture.lower()
        name, implied = _ARCHITECTURES.get(spelled, (spelled, None))
        said = variant.lower() or implied or ""
        return cls(os.lower(), name, _VARIANTS.get((name, said), said))

    @classmethod
    def host(cls) -> Self:
        """The Linux platform of this machine's processor.

        Images are Linux images on every host we support: on macOS the engine
        runs them in a Linux virtual machine of the same architecture.
        """
        return cls.of("linux", os.uname().machine)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))
