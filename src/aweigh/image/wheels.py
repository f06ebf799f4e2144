"""First-party wheels: found by glob, chosen by platform."""

from __future__ import annotations

import glob
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from aweigh.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.image.sources import Sources
    from aweigh.image.steps import WheelStep
    from aweigh.oci import Platform

__all__ = ["choose_wheels", "distribution", "read_wheels"]

# The binary distribution format: name-version[-build]-python-abi-platform.whl.
_WHEEL = re.compile(
    r"(?P<name>[^\s-]+)-(?P<version>[^\s-]+)(?:-[0-9][^\s-]*)?"
    r"-[^\s-]+-[^\s-]+-(?P<platforms>[^\s-]+)\.whl"
)
# OCI architecture -> machine at the end of wheel platform tags.
_MACHINES = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "386": "i686",
    "arm": "armv7l",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


def read_wheels(step: WheelStep, sources: Sources) -> tuple[Member, ...]:
    """Digest all wheels that match, sorted by file name.

    Raises:
        SpecError: A glob matches nothing, or something that is no wheel; two different
            files have one name.
    """
    found: dict[str, Path] = {}
    for pattern in step.globs:
        matches = glob.glob(pattern, root_dir=sources.root, recursive=True)  # noqa: PTH207
        if not matches:
            raise SpecError(
                f"{sources.step}: nothing matches {pattern} in {sources.root}",
                hint="build the wheels first, such as with: uv build --wheel",
            )
        for path in sorted(map(sources.locate, matches)):
            _check_name(path, sources)
            if found.setdefault(path.name, path).resolve() != path.resolve():
                raise SpecError(
                    f"{sources.step}: {found[path.name]} and {path} have one name",
                    hint="make the glob match only one of them",
                )
    return tuple(sources.file(found[name], f"wheels/{name}") for name in sorted(found))


def _check_name(path: Path, sources: Sources) -> None:
    if not _WHEEL.fullmatch(path.name):
        raise SpecError(
            f"{sources.step}: {path} is not named like a wheel",
            hint="narrow the glob, such as dist/*.whl",
        )


def distribution(file_name: str) -> str:
    """Return the normalised project name of a wheel's file name."""
    return re.sub(r"[-_.]+", "-", file_name.partition("-")[0]).lower()


def choose_wheels(file_names: Iterable[str], platform: Platform) -> list[str]:
    """Drop wheels that only other architectures can use.

    They may lie beside each other when an image has several platforms.
    """
    machine = _MACHINES.get(platform.architecture, platform.architecture)
    return [name for name in sorted(file_names) if _fits(name, machine)]


def _fits(file_name: str, machine: str) -> bool:
    match = _WHEEL.fullmatch(PurePosixPath(file_name).name)
    tags = match["platforms"].split(".") if match else []
    return any(tag == "any" or tag.endswith(f"_{machine}") for tag in tags)
