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

__all__ = ["BuilderName", "OnUnknown", "Settings", "environment"]

BuilderName = Literal["auto", "assemble", "engine"]
OnUnknown = Literal["fail", "build"]

_APP = "aweigh"
_HOUR = 3600.0
_DAY = 24 * _HOUR
_MIB = 1024 * 1024
_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": _HOUR, "d": _DAY}
_BYTES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}
_BYTES |= {"kib": 1024, "mib": _MIB, "gib": 1024**3}
_QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def environment() -> dict[str, str]:
    """Return a copy of the process environment."""
    return dict(os.environ)  # noqa: TID251 - the one place that may


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, with the values that most people need.

    Durations are in seconds, sizes in bytes; in files and in the environment they may
    have a unit: ``30m``, ``12h``, ``30d``, ``512MiB``.

    Attributes:
        registry: Where images go, such as ``ghcr.io/acme``. None keeps them in this
            machine's container engine.
        store: URL of the object store for bundles: ``s3://bucket/prefix``,
            ``gs://``, ``az://``, ``file:///path``. None is a directory below
            ``data_dir``.
        cache_dir: Where the local database and the locks are.
        data_dir: Where bundles are kept when no store is set.
        engine: Address of the container engine, such as
            ``unix:///var/run/docker.sock``. None asks Docker's own configuration.
        builder: Who builds: ``engine`` (BuildKit in the container engine),
            ``assemble`` (layers made and pushed here, for specs that execute nothing
            in the image) or ``auto`` (assemble what can be, the engine for the rest).
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
    """

    registry: str | None = None
    store: str | None = None
    cache_dir: Path = field(default_factory=lambda: platformdirs.user_cache_path(_APP))
    data_dir: Path = field(default_factory=lambda: platformdirs.user_data_path(_APP))
    engine: str | None = None
    builder: BuilderName = "engine"
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

    def __post_init__(self) -> None:
        _check(self.builder in get_args(BuilderName), "builder", self.builder)
        _check(self.on_unknown in get_args(OnUnknown), "on_unknown", self.on_unknown)
        _check(
            0 <= self.prune_probability <= 1,
            "prune_probability",
            self.prune_probability,
        )
        _check(self.concurrency >= 1, "concurrency", self.concurrency)
        for name in ("image_fresh_for", "image_ttl", "bundle_fresh_for", "bundle_ttl"):
            _check(getattr(self, name) >= 0, name, getattr(self, name))
        _check(self.bundle_size_limit > 0, "bundle_size_limit", self.bundle_size_limit)

    @property
    def store_url(self) -> str:
        """The store's URL, the default one included."""
        return self.store or (self.data_dir / "store").absolute().as_uri()

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
            merged |= _converted(values, origin)
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


def _converted(values: Mapping[str, object], origin: str) -> dict[str, object]:
    converted: dict[str, object] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        convert = _CONVERTERS.get(name)
        if convert is None:
            raise SettingsError(
                f"unknown setting {key!r} in {origin}",
                hint=f"known settings: {', '.join(sorted(_CONVERTERS))}",
            )
        try:
            converted[name] = convert(value)
        except (ValueError, TypeError, KeyError) as error:
            raise SettingsError(
                f"setting {key} in {origin} cannot be {value!r}",
                hint=f"{name} is {_KINDS[convert]}",
            ) from error
    return converted


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise TypeError


def _path(value: object) -> Path:
    if isinstance(value, str | Path) and str(value):
        return Path(value).expanduser()
    raise TypeError


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(filter(None, re.split(r"[,\s]+", value)))
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise TypeError


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return words[str(value).strip().lower()]


def _whole(value: object) -> int:
    if isinstance(value, bool):
        raise TypeError
    return int(str(value))


def _number(value: object) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(str(value))


def _seconds(value: object) -> float:
    return _quantity(value, _SECONDS)


def _size(value: object) -> int:
    return int(_quantity(value, _BYTES))


def _quantity(value: object, units: Mapping[str, float]) -> float:
    if isinstance(value, bool):
        raise TypeError
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError
    unit = match[2].lower()
    if unit not in units and unit.endswith("b"):
        unit = unit.removesuffix("b")
    return float(match[1]) * units[unit]


_CONVERTERS = {
    "registry": _text,
    "store": _text,
    "cache_dir": _path,
    "data_dir": _path,
    "engine": _text,
    "builder": _text,
    "image_fresh_for": _seconds,
    "image_ttl": _seconds,
    "bundle_fresh_for": _seconds,
    "bundle_ttl": _seconds,
    "prune_probability": _number,
    "on_unknown": _text,
    "offline": _flag,
    "insecure_registries": _texts,
    "concurrency": _whole,
    "bundle_size_limit": _size,
}
_KINDS = {
    _text: "a text",
    _path: "a path",
    _texts: "a list of texts",
    _flag: "true or false",
    _whole: "a whole number",
    _number: "a number",
    _seconds: "a duration: seconds, or a number with s, m, h or d",
    _size: "a size: bytes, or a number with KiB, MiB or GiB",
}
