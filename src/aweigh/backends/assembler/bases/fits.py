"""Whether wheels can run on a base: told from their names, before anything happens.

Compatibility tags: the platform compatibility specifications of packaging.python.org,
PEP 425, PEP 600 (manylinux) and PEP 656 (musllinux).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aweigh.errors import NeedsEngineError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.backends.assembler.bases.base import BaseFacts
    from aweigh.image.lock import LockedWheel
    from aweigh.oci import Platform

__all__ = ["MACHINES", "misfit", "refuse_misfits"]

# OCI architecture -> machine in wheel tags.
MACHINES: Final = {
    "386": "i686",
    "amd64": "x86_64",
    "arm64": "aarch64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
_LEGACY: Final = {
    "manylinux1": "manylinux_2_5",
    "manylinux2010": "manylinux_2_12",
    "manylinux2014": "manylinux_2_17",
}
_LIBC: Final = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)")
_PYTHON: Final = re.compile(r"(cp|py)(\d)(\d*)")
_TAGS: Final = 3


def refuse_misfits(
    wheels: Iterable[LockedWheel], facts: BaseFacts, platform: Platform
) -> None:
    """Refuse source distributions and wheels that cannot run on the base.

    Raises:
        NeedsEngineError: There is no wheel of a package; the message names it.
        SpecError: A wheel does not fit; the message names it and says why.
    """
    for wheel in wheels:
        if not wheel.is_wheel:
            source = wheel.url if "+" in wheel.url.partition(":")[0] else wheel.filename
            raise NeedsEngineError(
                f"{wheel.name} {wheel.version} has no wheel for {platform}, only "
                f"{source}, which has to be built",
                hint="building it executes its code in the image: use builder='auto' "
                "or 'engine', or add a wheel of it with find_links or with_wheel",
            )
        reason = misfit(wheel.filename, facts, platform)
        if reason:
            raise SpecError(
                f"{wheel.filename} cannot run on the base: {reason}",
                hint=f"name another base or Python, or another version of {wheel.name}",
            )


def misfit(filename: str, facts: BaseFacts, platform: Platform) -> str:
    """Say why a wheel cannot run on a base; empty when it can."""
    machine = MACHINES.get(platform.architecture, platform.architecture)
    tags = filename.removesuffix(".whl").split("-")[-_TAGS:]
    if len(tags) < _TAGS:
        return "its name says nothing about what it runs on"
    pythons, abis, platforms = (tag.split(".") for tag in tags)
    if not any(_python_fits(one, abis, facts.python) for one in pythons):
        return f"it is for {'.'.join(pythons)}, the base has Python {facts.python}"
    if not any(_platform_fits(one, facts.libc, machine) for one in platforms):
        return f"it is for {'.'.join(platforms)}, the base is {facts.libc}_{machine}"
    return ""


def _python_fits(tag: str, abis: list[str], python: str) -> bool:
    match = _PYTHON.fullmatch(tag)
    if match is None:
        return False
    major, minor = (int(part) for part in python.split("."))
    wanted = int(match[3]) if match[3] else 0
    if int(match[2]) != major:
        return False
    if match[1] == "py":
        return wanted <= minor
    exact = {f"cp{major}{minor}", "none"}
    return (wanted == minor and bool(exact & set(abis))) or (
        "abi3" in abis and wanted <= minor
    )


def _platform_fits(tag: str, libc: str, machine: str) -> bool:
    if tag in {"any", f"linux_{machine}"}:
        return True
    name = tag.removesuffix(f"_{machine}")
    if name == tag:
        return False
    wanted = _LIBC.fullmatch(_LEGACY.get(name, name))
    there = _LIBC.fullmatch(libc)
    if wanted is None or there is None or wanted[1] != there[1]:
        return False
    return (int(wanted[2]), int(wanted[3])) <= (int(there[2]), int(there[3]))
