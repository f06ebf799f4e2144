"""What a spec and the files that it names were at one moment, and the digest of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aweigh.image.digest import members_digest, spec_digest
from aweigh.image.grammar import is_url
from aweigh.image.steps import (
    AptStep,
    EntrypointStep,
    EnvStep,
    LabelsStep,
    PackagesStep,
    RunStep,
    UserStep,
    WorkdirStep,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aweigh.archive.member import Member
    from aweigh.image.spec import ImageSpec
    from aweigh.image.steps import Step
    from aweigh.oci import Digest, Reference

__all__ = ["Read", "Snapshot", "names_files", "pure_snapshot", "snapshot_of"]

_TAG_DIGITS = 20
_PURE_STEPS = (
    AptStep,
    EnvStep,
    WorkdirStep,
    UserStep,
    RunStep,
    LabelsStep,
    EntrypointStep,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a spec named when it was read.

    Attributes:
        members: The build context: ``steps/<n>/...`` (n counts from 0), or a
            Dockerfile's own context at its root.
        digest: The spec digest: of the spec and of these files.
        python: The Python version as ``X.Y``; empty when it is the base's own.
        base: The image to start from; None when a Dockerfile names it.
        dockerfile: The text of the Dockerfile when the spec is one, else empty.
    """

    members: tuple[Member, ...]
    digest: Digest
    python: str
    base: Reference | None
    dockerfile: str = ""

    @property
    def tag(self) -> str:
        """The tag that this digest gives the image."""
        return f"aw-{self.digest.hex[:_TAG_DIGITS]}"

    def names(self, step: int) -> frozenset[str]:
        """Return the context paths of one step, relative to ``steps/<step>/``."""
        prefix = f"steps/{step}/"
        return frozenset(
            member.path.removeprefix(prefix) for member in self._files(step)
        )

    def content(self, step: int) -> Digest:
        """Digest the files of one step, without regard to its number."""
        prefix = f"steps/{step}/"
        return members_digest(
            replace(member, path=member.path.removeprefix(prefix))
            for member in self._files(step)
        )

    def _files(self, step: int) -> Iterator[Member]:
        prefix = f"steps/{step}/"
        return (member for member in self.members if member.path.startswith(prefix))


def names_files(spec: ImageSpec) -> bool:
    """Whether a snapshot of this spec depends on anything but the spec."""
    return any(map(_names_files, spec.steps))


def _names_files(step: Step) -> bool:
    if isinstance(step, PackagesStep):
        return bool(step.local) or not all(map(is_url, step.options.find_links))
    return not isinstance(step, _PURE_STEPS)


@functools.lru_cache(maxsize=1024)
def pure_snapshot(spec: ImageSpec) -> Snapshot:
    """Return the snapshot of a spec that names no files; fast from the second call."""
    return snapshot_of(spec, [Read()] * len(spec.steps))


@dataclass(frozen=True, slots=True)
class Read:
    """What one step had to say once its files were read.

    Attributes:
        members: What goes into the build context.
        requires_python: The versions of Python that it demands; empty for any.
        dockerfile: The text of a Dockerfile, if it names one.
    """

    members: tuple[Member, ...] = ()
    requires_python: str = ""
    dockerfile: str = ""


def snapshot_of(spec: ImageSpec, read: Sequence[Read]) -> Snapshot:
    """Put together what the steps of a spec had to say, and digest it.

    Raises:
        SpecError: No version of Python is what all of them demand.
    """
    demands = [one.requires_python for one in read if one.requires_python]
    python = spec.python_version(demands)
    base = spec.base_reference(demands)
    dockerfile = "".join(one.dockerfile for one in read)
    members = [one.members for one in read]
    return Snapshot(
        members=tuple(member for files in members for member in files),
        digest=spec_digest(
            base,
            python,
            spec.steps,
            members,
            dockerfile,
            optimize_layers=spec.optimize_layers,
        ),
        python=python,
        base=base,
        dockerfile=dockerfile,
    )
