"""Flyte's images, ensured by aweigh: pinned by digest, built once, never assumed.

Give Flyte a builder, ``flyte.init(image_builder=FlyteImageBuilder())``, or name it:
``image: {builder: aweigh}`` in its configuration. Flyte's own checkers are not used:
whether an image exists is a question that `ensure_image` answers, from memory in
milliseconds, and never by assuming it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from flyte._build import ImageBuild
from flyte._image import (
    AptPackages,
    CodeBundleLayer,
    Commands,
    CopyConfig,
    DockerIgnore,
    Env,
    PipPackages,
    PythonWheels,
    Requirements,
    UVProject,
    UVScript,
    WorkDir,
    _DockerLines,
)

from aweigh.errors import SpecError
from aweigh.image.spec import ImageSpec
from aweigh.image.steps import ScriptStep
from aweigh.shared import ensure_image

if TYPE_CHECKING:
    from flyte import Image

    from aweigh.settings import Settings

__all__ = ["FlyteImageBuilder", "NothingKnown", "to_spec"]

_LABEL: Final = re.compile(r"LABEL ([\w.-]+)='?([^']*)'?")
_UV: Final = "VIRTUAL_ENV"


class NothingKnown:
    """Flyte's checker for this builder: it leaves the question to the builder.

    Flyte asks checkers by a tag that it made of the image, and what we make has other
    names. Answering None has it call the builder, which looks before it builds.
    """

    @classmethod
    async def image_exists(
        cls, repository: str, tag: str, arch: tuple[str, ...] = ()
    ) -> str | None:
        """Say nothing."""
        del repository, tag, arch
        return None


class FlyteImageBuilder:
    """Builds the images of Flyte's tasks with aweigh.

    Args:
        settings: How aweigh behaves; `Settings.load()` when None. An image without a
            registry of its own goes to the one of the settings.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings

    async def build_image(
        self,
        image: Image,
        dry_run: bool = False,  # noqa: FBT001, FBT002 - Flyte's protocol
        wait: bool = True,  # noqa: ARG002, FBT001, FBT002
        force: bool = False,  # noqa: FBT001, FBT002
    ) -> ImageBuild:
        """Return the image, which exists when this returns unless it is a dry run.

        Args:
            image: What Flyte wants.
            dry_run: Only translate the image; the result has no URI.
            wait: Ignored: building takes place here.
            force: Build it although it exists.

        Raises:
            SpecError: The image has a layer that cannot be translated.
            AweighError: What `ensure_image` raises.
        """
        spec = to_spec(image)
        if dry_run:
            return ImageBuild(uri=None, remote_run=None)
        made = await ensure_image(spec, rebuild=force, settings=self._settings)
        return ImageBuild(uri=str(made), remote_run=None)

    def get_checkers(self) -> list[type[NothingKnown]]:
        """Return checkers that leave every question to this builder."""
        return [NothingKnown]


def to_spec(image: Image) -> ImageSpec:
    """Translate one of Flyte's images; pure, but for what it says of files.

    Raises:
        SpecError: It has no name, or a layer that has no equal here.
    """
    if not image.name:
        raise SpecError(
            "the Flyte image has no name", hint="give it one: image.clone(name=...)"
        )
    name = f"{image.registry}/{image.name}" if image.registry else image.name
    if image.dockerfile is not None:
        folder = image.dockerfile.parent
        spec = ImageSpec.from_dockerfile(image.dockerfile, name=name, context=folder)
        return spec.with_platforms(*image.platform)
    spec = ImageSpec(name, base=image.base_image).with_platforms(*image.platform)
    workdir: str | None = None
    for layer in image._layers:  # noqa: SLF001 - Flyte gives them to builders only so
        if isinstance(layer, WorkDir):
            workdir = layer.workdir
        spec = _add(spec, layer, workdir)
    return spec


def _add(spec: ImageSpec, layer: Any, workdir: str | None) -> ImageSpec:  # noqa: C901, PLR0911, PLR0912 - one case for each of Flyte's layers
    _refuse_extras(layer)
    match layer:
        case Requirements():
            return spec.with_requirements(layer.file, **_options(layer))
        case PipPackages():
            return spec.with_packages(*(layer.packages or ()), **_options(layer))
        case PythonWheels():
            stem = re.sub(r"[-_.]+", "_", layer.package_name)
            return spec.with_wheel(layer.wheel_dir / f"{stem}-*.whl")
        case UVProject():
            install = layer.project_install_mode == "install_project"
            return spec.with_project(layer.pyproject, install_project=install)
        case UVScript():
            return replace(spec, steps=(*spec.steps, ScriptStep(str(layer.script))))
        case AptPackages():
            return spec.with_apt(*layer.packages)
        case Commands():
            return spec.with_run(*layer.commands)
        case WorkDir():
            return spec.with_workdir(layer.workdir)
        case Env():
            variables = {k: v for k, v in layer.env_vars if not _is_ours(k, v)}
            return spec.with_env(**variables) if variables else spec
        case CopyConfig():
            return spec.with_files(layer.src, _destination(layer, workdir))
        case _DockerLines():
            return _labelled(spec, layer)
        case CodeBundleLayer(root_dir=None) | DockerIgnore():
            return spec
        case _:
            raise SpecError(
                f"a Flyte image with {type(layer).__name__} cannot be translated",
                hint="use pip packages, requirements, a uv project or a Dockerfile",
            )


def _refuse_extras(layer: Any) -> None:
    for attribute, instead in (
        ("secret_mounts", "let uv find the credentials: environment, netrc or keyring"),
        ("extra_args", "use index_url, extra_index_urls and pre"),
    ):
        if getattr(layer, attribute, None):
            raise SpecError(
                f"{attribute} of Flyte's {type(layer).__name__} is not supported",
                hint=instead,
            )


def _options(layer: Any) -> dict[str, Any]:
    return {
        "index_url": layer.index_url,
        "extra_index_urls": tuple(layer.extra_index_urls or ()),
        "pre": layer.pre,
    }


def _is_ours(name: str, value: str) -> bool:
    """Tell whether a variable only says what our images say anyway."""
    if name in {_UV, "UV_LINK_MODE"} or (name, value) == (
        "PATH",
        "/opt/venv/bin:$PATH",
    ):
        return True
    if "$" in value:
        raise SpecError(
            f"the variable {name} of the Flyte image refers to another one",
            hint="write its value out",
        )
    return False


def _destination(layer: Any, workdir: str | None) -> str:
    path = PurePosixPath(layer.dst)
    if not path.is_absolute() and workdir is None:
        raise SpecError(
            f"where {layer.src} goes depends on the base image's working directory",
            hint="call with_workdir(...) first, or give an absolute destination",
        )
    joined = posixpath.normpath(posixpath.join(workdir or "/", layer.dst))
    # What COPY of a file means by its destination: a name, or a directory that exists.
    folder = layer.dst.endswith(("/", ".")) or joined == workdir
    return f"{joined.rstrip('/')}/" if folder and layer.path_type == 0 else joined


def _labelled(spec: ImageSpec, layer: Any) -> ImageSpec:
    labels: dict[str, str] = {}
    for line in layer.lines:
        match = _LABEL.fullmatch(line.strip())
        if match is None:
            raise SpecError(
                f"the Dockerfile line {line!r} cannot be translated",
                hint="use Image.from_dockerfile for images with lines of your own",
            )
        labels[match[1]] = match[2]
    return spec.with_labels(labels)
