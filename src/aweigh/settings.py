"""How aweigh behaves: one frozen value, merged from everywhere people set things.

This is the only module that reads the environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import platformdirs

from aweigh.errors import SettingsError
from aweigh.setting_values import converted

__all__ = [
    "BuilderName",
    "Compression",
    "LayerCache",
    "OnUnknown",
    "Settings",
    "TargetName",
    "environment",
]

BuilderName = Literal["auto", "assemble", "engine"]
Compression = Literal["auto", "gzip", "zstd"]
LayerCache = Literal["registry", "local", "off"]
OnUnknown = Literal["fail", "build"]
TargetName = Literal["docker", "swarm"]

_WORDS = {
    "builder": get_args(BuilderName),
    "layer_cache": get_args(LayerCache),
    "compression": get_args(Compression),
    "on_unknown": get_args(OnUnknown),
    "target": get_args(TargetName),
}

# An absolute path below the root that can be an entry of PYTHONPATH.
_CODE_DIR = re.compile(r"(/(?!\.{1,2}(/|\Z))[^/:\0\n]+)+")

_APP = "aweigh"
_HOUR = 3600.0
_DAY = 24 * _HOUR
_MIB = 1024 * 1024


def environment() -> dict[str, str]:
    """Return a copy of the process environment."""
    return dict(os.environ)  # noqa: TID251 - the one place that may


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with the values that most people need.

    Durations are in seconds, sizes in bytes; in files and in the environment they may
    have a unit: ``30m``, ``12h``, ``30d``, ``512MiB``.

    Attributes:
        registry: Where images go, such as ``ghcr.io/acme``. None keeps them on this
            machine: in its container engine if one answers, else in ``image_dir``.
        store: URL of the object store for bundles: ``s3://bucket/prefix``,
            ``gs://``, ``az://``, ``file:///path``. None is a directory below
            ``data_dir``.
        cache_dir: Where the local database and the locks are.
        data_dir: Where bundles are kept when no store is set, and images when there
            is neither registry nor engine.
        engine: Address of the container engine, such as
            ``unix:///var/run/docker.sock``. None asks Docker's own configuration.
        builder: Who builds: ``auto`` (layers are made and pushed here, and the
            container engine builds what executes something in the image),
            ``assemble`` (the same without an engine) or ``engine`` (all of it by
            BuildKit in the container engine).
        layer_cache: Where assembled layers are looked for: ``registry`` (what this
            machine remembers, and a moving tag in the destination, so that a machine
            with empty caches finds them), ``local`` (this machine only) or ``off``.
        compression: Of assembled layers: ``auto`` (gzip, unless the base has zstd),
            ``gzip``, or ``zstd`` (smaller; Docker Engine reads it from 23 on).
        image_fresh_for: For how long a remembered image is an answer without asking
            the registry.
        image_ttl: For how long it may be an answer when the registry can't be asked,
            or confirms it. 0 turns the image cache off.
        bundle_fresh_for: The same for bundles.
        bundle_ttl: The same for bundles.
        prune_probability: How often a look-up also removes expired rows, 0 to 1.
        on_unknown: What to do when nobody can say whether an image exists.
        offline: Ask no registry and no store; only what is remembered counts.
        insecure_registries: Registries (``host[:port]``) that may be spoken to over
            plain HTTP, or TLS without a valid certificate.
        concurrency: How many blobs of an assembled image move side by side.
        bundle_size_limit: Refuse directories with more bytes than this.
        target: Where tasks and services run when a call does not say: ``docker`` (the
            container engine) or ``swarm`` (the swarm that it manages).
        code_dir: Where the code lies in the container: its working directory, and the
            first entry of PYTHONPATH.
    """

    registry: str | None = None
    store: str | None = None
    cache_dir: Path = field(default_factory=lambda: platformdirs.user_cache_path(_APP))
    data_dir: Path = field(default_factory=lambda: platformdirs.user_data_path(_APP))
    engine: str | None = None
    builder: BuilderName = "auto"
    layer_cache: LayerCache = "registry"
    compression: Compression = "auto"
    image_fresh_for: float = _HOUR
    image_ttl: float = 30 * _DAY
    bundle_fresh_for: float = _HOUR
    bundle_ttl: float = 30 * _DAY
    prune_probability: float = 0.05
    on_unknown: OnUnknown = "fail"
    offline: bool = False
    insecure_registries: tuple[str, ...] = ()
    concurrency: int = 8
    bundle_size_limit: int = 512 * _MIB
    target: TargetName = "docker"
    code_dir: str = "/app"

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            _check(getattr(self, name) in words, name, getattr(self, name))
        _check(
            0 <= self.prune_probability <= 1,
            "prune_probability",
            self.prune_probability,
        )
        _check(self.concurrency >= 1, "concurrency", self.concurrency)
        for name in ("image_fresh_for", "image_ttl", "bundle_fresh_for", "bundle_ttl"):
            _check(getattr(self, name) >= 0, name, getattr(self, name))
        _check(self.bundle_size_limit > 0, "bundle_size_limit", self.bundle_size_limit)
        _check(bool(_CODE_DIR.fullmatch(self.code_dir)), "code_dir", self.code_dir)

    @property
    def store_url(self) -> str:
        """The store's URL, the default one included."""
        return self.store or (self.data_dir / "store").absolute().as_uri()

    @property
    def image_dir(self) -> Path:
        """The image layout for images without registry and engine."""
        return (self.data_dir / "images").absolute()

    @classmethod
    def load(
        cls,
        directory: Path | None = None,
        environ: Mapping[str, str] | None = None,
        **explicit: object,
    ) -> Self:
        """Merge explicit values over ``AWEIGH_*`` over project file over user file.

        The project file is the nearest ``aweigh.toml``, or ``pyproject.toml`` with a
        ``[tool.aweigh]`` table, from ``directory`` (default: the current one) upward.
        The user file is ``aweigh/config.toml`` in the user's configuration directory.

        Raises:
            SettingsError: A name is unknown or a value impossible; the message says
                where it was set.
        """
        start = Path.cwd() if directory is None else directory
        merged: dict[str, object] = {}
        for origin, values in (
            _user_file(),
            _project_file(start.absolute()),
            (
                "the environment",
                _from_environ(environment() if environ is None else environ),
            ),
            ("the call", explicit),
        ):
            merged |= converted(values, origin)
        return cls(**cast("dict[str, Any]", merged))


def _check(condition: bool, name: str, value: object) -> None:  # noqa: FBT001
    if not condition:
        raise SettingsError(
            f"setting {name} cannot be {value!r}",
            hint=f"see `python -c 'import aweigh; help(aweigh.Settings)'` for {name}",
        )


def _user_file() -> tuple[str, Mapping[str, object]]:
    path = platformdirs.user_config_path(_APP) / "config.toml"
    return str(path), _read_toml(path) if path.is_file() else {}


def _project_file(start: Path) -> tuple[str, Mapping[str, object]]:
    for folder in (start, *start.parents):
        own = folder / "aweigh.toml"
        if own.is_file():
            return str(own), _without_image(_read_toml(own))
        shared = folder / "pyproject.toml"
        if shared.is_file():
            table = _read_toml(shared).get("tool", {})
            if isinstance(table, Mapping) and isinstance(table.get(_APP), Mapping):
                return str(shared), _without_image(table[_APP])
    return "no project file", {}


def _without_image(table: Mapping[str, object]) -> dict[str, object]:
    """Leave out ``[tool.aweigh.image]``, which is a spec and no setting."""
    return {key: value for key, value in table.items() if key != "image"}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(
            f"cannot read settings from {path}: {error}", hint="mend or remove the file"
        ) from error


def _from_environ(environ: Mapping[str, str]) -> dict[str, object]:
    """Pick ``AWEIGH_X`` for each setting x; an empty text means unset."""
    return {
        setting.name: environ[variable]
        for setting in fields(Settings)
        if environ.get(variable := f"{_APP.upper()}_{setting.name.upper()}")
    }
