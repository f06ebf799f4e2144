"""The text of a Dockerfile that does what a spec says: deterministic, for BuildKit."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from aweigh.image.digest import copy_destination
from aweigh.image.grammar import check_text
from aweigh.image.install import VENV, Installer
from aweigh.image.order import is_python
from aweigh.image.pins import LOCK_PATH, pins
from aweigh.image.plan import PythonLayer
from aweigh.image.quoting import exec_form, quoted, unexpanded
from aweigh.image.schedule import schedule
from aweigh.image.steps import (
    AptStep,
    DockerfileStep,
    EntrypointStep,
    EnvStep,
    FilesStep,
    LabelsStep,
    LockStep,
    PackagesStep,
    ProjectStep,
    RequirementsStep,
    RunStep,
    ScriptStep,
    UserStep,
    WheelStep,
    WorkdirStep,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from aweigh.image.lock import Lock
    from aweigh.image.order import Action
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.oci import Platform, Reference

__all__ = ["render"]

# Debian's own images delete what lands in /var/cache/apt/archives after each install
# (docker-clean); a directory of our own beside it survives in the cache mount.
_APT = (
    "export DEBIAN_FRONTEND=noninteractive && "
    "apt-get -q update && "
    "apt-get -q -y -o Dir::Cache::archives=aweigh/ "
    "install --no-install-recommends -- {packages}"
)


def render(
    spec: ImageSpec,
    snapshot: Snapshot,
    *,
    base: Reference | str,
    installer: str,
    platform: Platform,
    labels: Mapping[str, str],
    layers: Sequence[PythonLayer] | None = None,
    lock: Lock | None = None,
    done: Collection[int] = (),
) -> str:
    """Write the Dockerfile of one platform.

    The same arguments give the same text. It needs BuildKit, but no frontend image:
    it has no syntax line. A spec that is a Dockerfile is returned as it is; the builder
    passes ``labels`` on beside it.

    Args:
        spec: What is wanted.
        snapshot: The files it names; their paths are those of the build context.
        base: The base, pinned by digest where that was possible.
        installer: An image that holds uv for this platform as ``/uv``.
        platform: The platform it is for.
        labels: Labels besides the spec's; they win.
        layers: The plan of its Python packages; the context then needs the members of
            `aweigh.image.pins.pin_members` too. None: each step finds out for itself.
        lock: What was planned; the image keeps a copy in its environment.
        done: The numbers of the steps that the base holds.

    Raises:
        SpecError: No wheel of a with_wheel step fits the platform, or a label has a
            line break.
    """
    if spec.dockerfile:
        return snapshot.dockerfile
    text = _Text(spec, snapshot, Installer(installer, snapshot, platform), platform)
    text.has_venv = any(is_python(spec.steps[number]) for number in done)
    lines = [f"FROM {base}"]
    last = layers[-1] if layers and lock else None
    for item in schedule(spec, layers):
        if isinstance(item, PythonLayer):
            lines.extend(text.pinned(item))
        elif item.number in done:
            text.recall(item)
        else:
            lines.extend(text.act(item))
        if item is last:
            lines.append(f"COPY {exec_form([LOCK_PATH, f'{VENV}/pylock.toml'])}")
    lines.extend(text.end({**text.labels, **labels}))
    return "\n".join(lines) + "\n"


class _Text:
    """Writes actions one after the other, knowing who the user is by then."""

    def __init__(
        self,
        spec: ImageSpec,
        snapshot: Snapshot,
        installer: Installer,
        platform: Platform,
    ) -> None:
        self.steps = spec.steps
        self.snapshot = snapshot
        self.installer = installer
        self.platform = platform
        self.labels: dict[str, str] = {}
        self.entrypoint: tuple[str, ...] = ()
        self.user = ""
        self.acting_as = ""
        self.has_venv = False

    def act(self, action: Action) -> Iterator[str]:  # noqa: C901, PLR0912 - a case per step
        """Write one action; labels and the entrypoint wait for the end."""
        match action.step:
            case AptStep(packages):
                yield from self._become("0")
                yield _apt(packages, self.platform)
            case (
                PackagesStep()
                | RequirementsStep()
                | LockStep()
                | ProjectStep()
                | WheelStep()
                | ScriptStep()
            ):
                yield from self._install(action)
            case FilesStep():
                yield self._copy(action.number, action.step)
            case EnvStep(variables):
                for name, value in variables:
                    yield f"ENV {name}={quoted(value)}"
            case WorkdirStep(path):
                yield f"WORKDIR {quoted(path)}"
            case UserStep(user):
                self.user = user
            case RunStep(commands):
                yield from self._become(self.user)
                for command in commands:
                    yield f"RUN {exec_form(['/bin/sh', '-c', command])}"
            case LabelsStep(found):
                self.labels |= dict(found)
            case EntrypointStep(argv):
                self.entrypoint = argv
            case DockerfileStep():
                raise AssertionError(action)
            case _:
                assert_never(action.step)

    def recall(self, action: Action) -> None:
        """Note what an action of the base means for those that follow."""
        if isinstance(action.step, UserStep):
            self.user = action.step.user

    def end(self, labels: Mapping[str, str]) -> Iterator[str]:
        """Write what belongs to the image, not to a layer."""
        yield from self._become(self.user)
        if self.entrypoint:
            yield f"ENTRYPOINT {exec_form(self.entrypoint)}"
        for key, value in sorted(labels.items()):
            check_text(f"label {key!r}", key + value)
            yield f"LABEL {quoted(key)}={quoted(value)}"

    def _become(self, user: str) -> Iterator[str]:
        """Switch the user; without any with_user the base's own stays."""
        if self.user and self.acting_as != user:
            self.acting_as = user
            yield f"USER {user}"

    def pinned(self, layer: PythonLayer) -> Iterator[str]:
        """Write one planned layer."""
        for pin in pins(layer):
            yield from self._prepare()
            yield self.installer.pinned(pin, self.steps[pin.files[0].step])

    def _install(self, action: Action) -> Iterator[str]:
        yield from self._prepare()
        yield self.installer.install(action)

    def _prepare(self) -> Iterator[str]:
        """Become who may install, into an environment that is there."""
        yield from self._become("0")
        if not self.has_venv:
            self.has_venv = True
            yield self.installer.create()
            yield f'ENV VIRTUAL_ENV={VENV} PATH="{VENV}/bin:$PATH"'

    def _copy(self, number: int, step: FilesStep) -> str:
        is_file = "file" in self.snapshot.names(number)
        source = f"steps/{number}/{'file' if is_file else 'tree'}"
        destination = copy_destination(step, is_file=is_file)
        if not is_file and not destination.endswith("/"):
            destination += "/"
        return f"COPY {exec_form([source, unexpanded(destination)])}"


def _apt(packages: tuple[str, ...], platform: Platform) -> str:
    slug = str(platform).replace("/", "-")
    mounts = (
        f"--mount=type=cache,id=aweigh-apt-{name}-{slug},target={target},sharing=locked"
        for name, target in (
            ("cache", "/var/cache/apt"),
            ("lists", "/var/lib/apt/lists"),
        )
    )
    script = _APT.format(packages=" ".join(packages))
    return f"RUN {' '.join(mounts)} {exec_form(['/bin/sh', '-c', script])}"
