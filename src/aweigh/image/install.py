"""The RUN instructions that install Python packages with uv, bind-mounted.

Neither uv nor its cache nor the files it reads become part of the image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aweigh.errors import SpecError
from aweigh.image.grammar import is_url
from aweigh.image.local_requirement import LOCAL
from aweigh.image.quoting import exec_form, spaced
from aweigh.image.steps import (
    IndexOptions,
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    ScriptStep,
    Step,
    WheelStep,
)
from aweigh.image.wheels import choose_wheels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.image.order import Action
    from aweigh.image.pins import Pin
    from aweigh.image.snapshot import Snapshot
    from aweigh.oci import Platform

__all__ = ["VENV", "Installer"]

VENV: Final = "/opt/venv"
_PYTHON = f"{VENV}/bin/python"
# Older engines leave the directories they mount on in the layer; those below a tmpfs
# vanish with it, and /mnt itself is in every base.
_MOUNTS = "/mnt"
_UV = f"{_MOUNTS}/uv"
_CACHE = f"{_MOUNTS}/cache"
_KEY_DIGITS = 16
# The certificates of the base count, so that a company's own CA is trusted; packages
# are copied, for a layer cannot hold links into a cache mount.
_GLOBAL = ("--cache-dir", _CACHE, "--no-progress", "--system-certs")
_COPY = ("--link-mode", "copy")
_WITH_OPTIONS = (PackagesStep, RequirementsStep)


class Installer:
    """Writes uv commands for the steps of one snapshot and platform."""

    def __init__(self, image: str, snapshot: Snapshot, platform: Platform) -> None:
        self._image = image
        self._snapshot = snapshot
        self._platform = platform

    def create(self) -> str:
        """Make the environment on the base's own Python.

        A base that has one already (an image of ours) keeps its packages.
        """
        python = self._snapshot.python or "python3"
        argv = ["venv", *_GLOBAL, "--allow-existing", "--system-site-packages"]
        argv += ["--no-python-downloads", "--no-managed-python"]
        return self._run([*argv, "--python", python, VENV])

    def install(self, action: Action) -> str:
        """Install what one Python step wants.

        Wheels come with their dependencies: what earlier steps installed satisfies
        them, and what is missing would be missed when the code runs.

        Raises:
            SpecError: No wheel fits the platform.
        """
        step, number = action.step, action.number
        if isinstance(step, ProjectStep) and not action.first_party:
            return self._project(number, step)
        return self._pip(number, self._wanted(number, step))

    def pinned(self, pin: Pin, step: Step) -> str:
        """Install exactly some files; their hashes are checked.

        Args:
            pin: Which.
            step: The step they come from, for what building them may need.
        """
        number = pin.files[0].step
        place = f"{_MOUNTS}/{pin.key}"
        mounts = [
            f"type=bind,source={source},target={place}/{name}"
            for name, source in {"pylock.toml": pin.path, **pin.local}.items()
        ]
        argv = ["pip", "install", *_GLOBAL, *_COPY, "--preview-features", "pylock"]
        argv += ["--no-deps", "--python", _PYTHON]
        if pin.builds:
            mounts += self._bind(number)
            argv += ["--directory", self._place(number)]
            argv += _options(step.options) if isinstance(step, _WITH_OPTIONS) else []
        else:
            # Not the image's own directory: a project there may configure uv.
            argv += ["--directory", place, "--no-index", "--no-build"]
        return self._run([*argv, "-r", f"{place}/pylock.toml"], mounts)

    def _wanted(self, number: int, step: Step) -> list[str]:
        match step:
            case PackagesStep(_, options):
                local = self._local(number)
                wanted = step.placed(lambda key, one: one.at(local[key]))
                return [*_options(options), "--", *wanted]
            case RequirementsStep(_, options):
                return [*_options(options), "-r", "requirements.txt"]
            case LockStep():
                return ["--preview-features", "pylock", "-r", "pylock.toml"]
            case ScriptStep():
                names = self._snapshot.names(number)
                is_project = "pyproject.toml" in names
                return ["-r", "pyproject.toml" if is_project else "script.py"]
            case ProjectStep():
                return ["--no-deps", "./project"]
            case WheelStep():
                return self._wheels(number)
            case _:
                raise AssertionError(step)

    def _project(self, number: int, step: ProjectStep) -> str:
        extras = _each("--extra", step.extras)
        if "uv.lock" not in self._snapshot.names(number):
            groups = _each(
                "--group", [f"pyproject.toml:{name}" for name in step.groups]
            )
            return self._pip(number, ["-r", "pyproject.toml", *extras, *groups])
        argv = ["sync", *_GLOBAL, *_COPY, "--directory", self._place(number)]
        argv += ["--active", "--python", _PYTHON]
        argv += ["--frozen", "--inexact", "--no-default-groups", "--no-install-local"]
        argv += [*extras, *_each("--group", step.groups)]
        runs = [self._run(argv, self._bind(number))]
        if local := self._local(number):
            runs.append(self._pip(number, ["--no-deps", *local.values()]))
        return "\n".join(runs)

    def _local(self, number: int) -> dict[str, str]:
        """Say where a step's own sources are, by their key."""
        parts = (name.split("/") for name in sorted(self._snapshot.names(number)))
        return {
            part[1]: "./" + "/".join(part[:3]) for part in parts if part[0] == LOCAL
        }

    def _wheels(self, number: int) -> list[str]:
        names = self._snapshot.names(number)
        chosen = choose_wheels(names, self._platform)
        if not chosen:
            raise SpecError(
                f"none of {', '.join(sorted(names))} is for {self._platform}",
                hint="build the wheel for that platform too",
            )
        return [f"./{name}" for name in chosen]

    def _pip(self, number: int, wanted: list[str]) -> str:
        argv = ["pip", "install", *_GLOBAL, *_COPY, "--directory", self._place(number)]
        mounts = self._bind(number)
        return self._run([*argv, "--python", _PYTHON, *wanted], mounts)

    def _place(self, number: int) -> str:
        """Name a directory after what is in it.

        uv's cache knows local files by path and time, and times in a context say
        nothing: another wheel of the same name must have another path.
        """
        if not self._snapshot.names(number):
            return _MOUNTS
        return f"{_MOUNTS}/{self._snapshot.content(number).hex[:_KEY_DIGITS]}"

    def _bind(self, number: int) -> list[str]:
        """Show a step its files; what a build backend writes there is discarded."""
        names = self._snapshot.names(number)
        if not names:
            return []
        builds = any(name.startswith((f"{LOCAL}/", "project/")) for name in names)
        rights = ",rw" if builds else ""
        place = self._place(number)
        return [f"type=bind,source=steps/{number},target={place}{rights}"]

    def _run(self, argv: list[str], more_mounts: Iterable[str] = ()) -> str:
        slug = str(self._platform).replace("/", "-")
        mounts = [
            f"type=tmpfs,target={_MOUNTS}",
            f"type=bind,from={self._image},source=/uv,target={_UV}",
            f"type=cache,id=aweigh-uv-{slug},target={_CACHE}",
            *more_mounts,
        ]
        flags = spaced(f"--mount={mount}" for mount in mounts)
        return f"RUN {flags} {exec_form([_UV, *argv])}"


def _options(options: IndexOptions) -> list[str]:
    found = ["--default-index", options.index_url] if options.index_url else []
    found += _each("--index", options.extra_index_urls)
    links = (
        link if is_url(link) else f"./links/{number}"
        for number, link in enumerate(options.find_links)
    )
    found += _each("--find-links", links)
    return [*found, "--prerelease", "allow"] if options.pre else found


def _each(option: str, values: Iterable[str]) -> list[str]:
    return [text for value in values for text in (option, value)]
