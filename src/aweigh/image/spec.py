"""What an image should be: `ImageSpec`, a value that never opens a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from aweigh.errors import SpecError
from aweigh.image import grammar
from aweigh.image.requires import lowest_python, running_python
from aweigh.image.steps import (
    AptStep,
    DockerfileStep,
    EntrypointStep,
    EnvStep,
    FilesStep,
    IndexOptions,
    LabelsStep,
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    RunStep,
    ScriptStep,
    Step,
    UserStep,
    WheelStep,
    WorkdirStep,
)
from aweigh.image.table import apply_table, read_table
from aweigh.oci import Platform, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    _PathText = str | os.PathLike[str]

__all__ = ["ImageSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """What an image should be: a name, a base and steps, in order.

    Each ``with_...`` returns a copy with one more step. Relative paths are kept as text
    and mean files below the root of a later snapshot.

    Attributes:
        name: The repository: ``train`` (below the session's registry) or with a
            registry, ``ghcr.io/acme/train``. No part of the digest.
        base: The image to start from; None means ``python:X.Y-slim``.
        python: The Python version as ``X.Y``; None leaves it to the base, or for the
            default base to requires-python, then to the running interpreter.
        steps: What to add to the base.
        platforms: Platforms to build for; empty means the caller's choice.
        optimize_layers: Whether Python packages get layers by size; else by step.

    Raises:
        SpecError: A value breaks its grammar, or a Dockerfile has company.
    """

    name: str = field(kw_only=False)
    base: str | None = None
    python: str | None = None
    steps: tuple[Step, ...] = ()
    platforms: tuple[Platform, ...] = ()
    optimize_layers: bool = True

    def __post_init__(self) -> None:
        grammar.check_name(self.name)
        if self.base is not None:
            grammar.check_reference("base", self.base)
        if self.python is not None:
            grammar.check_python(self.python)
        if self.dockerfile and (len(self.steps) > 1 or self.base or self.python):
            raise SpecError(
                f"the spec {self.name!r} is a Dockerfile and takes nothing else",
                hint="write it into the Dockerfile, or start a spec from its image",
            )

    @property
    def dockerfile(self) -> DockerfileStep | None:
        """The Dockerfile this spec consists of, or None."""
        return next((it for it in self.steps if isinstance(it, DockerfileStep)), None)

    @classmethod
    def from_dockerfile(
        cls, path: _PathText, *, name: str, context: _PathText = "."
    ) -> Self:
        """Describe what a Dockerfile builds; such a spec takes no further steps.

        Raises:
            SpecError: The name or a path cannot be right.
        """
        return cls(name, steps=(DockerfileStep(os.fspath(path), os.fspath(context)),))

    @classmethod
    def from_script(
        cls, path: _PathText, *, name: str, base: str | None = None
    ) -> Self:
        """Describe an image for a script with a PEP 723 block.

        Only the block counts: its dependencies, and its requires-python when no base
        is given. It is read when a snapshot is taken. The script itself travels in the
        bundle, so editing its code keeps the image.

        Raises:
            SpecError: The name, the base or the path cannot be right.
        """
        return cls(name, base=base, steps=(ScriptStep(os.fspath(path)),))

    @classmethod
    def from_toml(cls, path: _PathText) -> Self:
        """Read ``[tool.aweigh.image]`` of a TOML file such as ``pyproject.toml``.

        This constructor reads its file at once, for the spec is inside. Relative paths
        in it mean files beside it, whatever the root of a later snapshot. Steps come in
        this order: apt, lock, requirements, packages, project, wheels, env, workdir,
        files, run, user, labels, entrypoint. Without ``name`` it is the project's.

        Raises:
            SpecError: The file or the table cannot be read, a key is unknown (the
                message names the nearest valid one) or a value is wrong.
        """
        table, name = read_table(Path(path))
        spec = cls(name, base=table.text("base"), python=table.text("python"))
        return apply_table(spec, table)

    def with_apt(self, *packages: str) -> Self:
        """Add Debian packages: ``git``, ``git=1:2.39.5-0``. Needs an engine."""
        return self._with(AptStep(packages))

    def with_packages(
        self,
        *requirements: str,
        index_url: str | None = None,
        extra_index_urls: Iterable[str] = (),
        find_links: Iterable[str] = (),
        pre: bool = False,
    ) -> Self:
        """Add Python packages.

        Args:
            *requirements: ``name>=1``, ``name[extra]``, ``name @ https://...``, or
                a project of yours: ``./libs/mine[extra]``, a directory or a source
                distribution; its path starts with ``./``, ``../`` or ``/``.
            index_url: The index instead of PyPI.
            extra_index_urls: Indexes that are asked before it.
            find_links: Pages or local directories that hold distributions.
            pre: Allow pre-releases.

        Raises:
            SpecError: A requirement is an option or no requirement; a URL carries
                credentials.
        """
        options = _options(index_url, extra_index_urls, find_links, pre=pre)
        return self._with(PackagesStep(tuple(map(str.strip, requirements)), options))

    def with_requirements(
        self,
        path: _PathText,
        *,
        index_url: str | None = None,
        extra_index_urls: Iterable[str] = (),
        find_links: Iterable[str] = (),
        pre: bool = False,
    ) -> Self:
        """Add the packages of a requirements file and the files it includes."""
        options = _options(index_url, extra_index_urls, find_links, pre=pre)
        return self._with(RequirementsStep(os.fspath(path), options))

    def with_lock(self, path: _PathText) -> Self:
        """Add exactly the packages of a ``pylock.toml`` (PEP 751), local ones too."""
        return self._with(LockStep(os.fspath(path)))

    def with_project(
        self,
        path: _PathText,
        *,
        extras: Iterable[str] = (),
        groups: Iterable[str] = (),
        install_project: bool = False,
    ) -> Self:
        """Add what a ``pyproject.toml`` depends on, from ``uv.lock`` when it has one.

        Members of its workspace, editable and path dependencies of the lock come as
        wheels that are built of them.

        Args:
            path: The project's directory, or its ``pyproject.toml``.
            extras: Optional dependencies to add.
            groups: Dependency groups to add; by default none, not even ``dev``.
            install_project: Install the project too; else its code travels in bundles.
        """
        chosen = (grammar.several("extras", extras), grammar.several("groups", groups))
        return self._with(ProjectStep(os.fspath(path), *chosen, install_project))

    def with_wheel(self, *globs: _PathText) -> Self:
        """Add first-party wheels: installed after all other Python packages."""
        return self._with(WheelStep(tuple(os.fspath(glob) for glob in globs)))

    def with_files(self, source: _PathText, destination: str) -> Self:
        """Copy a file, or the content of a directory, to an absolute path.

        A directory goes through the same ignore rules as a bundle. A file's destination
        is its new path, or the directory for it when it ends in ``/``.
        """
        return self._with(FilesStep(os.fspath(source), destination))

    def with_env(self, /, **variables: str) -> Self:
        """Set environment variables of later steps and of the container."""
        return self._with(EnvStep(tuple(sorted(variables.items()))))

    def with_workdir(self, path: str) -> Self:
        """Set the working directory of later steps and of the container."""
        return self._with(WorkdirStep(path))

    def with_user(self, user: str) -> Self:
        """Set the user of later run steps and of the container."""
        return self._with(UserStep(user))

    def with_run(self, *commands: str, **unsupported: object) -> Self:
        """Run shell commands in the image, one layer each. Needs an engine.

        Secrets are not supported in this version: what it reads, a layer can keep.

        Raises:
            SpecError: A secret or mount was asked for, or a command is empty.
        """
        if unsupported:
            raise SpecError(
                f"with_run takes no {', '.join(sorted(unsupported))}",
                hint="secrets and mounts are not supported in this version",
            )
        return self._with(RunStep(commands))

    def with_labels(self, labels: Mapping[str, str]) -> Self:
        """Label the image."""
        return self._with(LabelsStep(tuple(sorted(labels.items()))))

    def with_entrypoint(self, *argv: str) -> Self:
        """Set what the container starts, without a shell; the last one counts."""
        return self._with(EntrypointStep(argv))

    def with_platforms(self, *platforms: str) -> Self:
        """Choose the platforms to build for, instead of any chosen before.

        Raises:
            InvalidPlatformError: One is not ``os/architecture[/variant]``.
        """
        chosen = sorted(set(map(Platform.parse, platforms)))
        return self.replace(platforms=tuple(chosen))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other ``name``, ``base``, ``python``, ``steps``..."""
        return replace(self, **changes)

    def python_version(self, requires_python: Iterable[str] = ()) -> str:
        """Decide ``X.Y`` from what projects and scripts demand; empty: as the base has.

        Raises:
            SpecError: No version satisfies all demands.
        """
        if self.python is not None:
            return self.python
        if self.base is not None or self.dockerfile:
            return ""
        return lowest_python(tuple(requires_python)) or running_python()

    def base_reference(self, requires_python: Iterable[str] = ()) -> Reference | None:
        """Name the base, by default ``python:X.Y-slim``; None for a Dockerfile.

        Raises:
            SpecError: No Python version satisfies all demands.
        """
        if self.dockerfile:
            return None
        if self.base is not None:
            return Reference.parse(self.base)
        return Reference.parse(f"python:{self.python_version(requires_python)}-slim")

    def _with(self, step: Step) -> Self:
        return self.replace(steps=(*self.steps, step))


def _options(
    index_url: str | None,
    extra_index_urls: Iterable[str],
    find_links: Iterable[str],
    *,
    pre: bool,
) -> IndexOptions:
    return IndexOptions(
        index_url=index_url,
        extra_index_urls=grammar.several("extra_index_urls", extra_index_urls),
        find_links=grammar.several("find_links", find_links),
        pre=pre,
    )
