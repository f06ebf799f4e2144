"""What people write for a setting, as the value that it means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["converted"]

_HOUR: Final = 3600.0
_SECONDS: Final = {
    "": 1.0,
    "ms": 0.001,
    "s": 1.0,
    "m": 60.0,
    "h": _HOUR,
    "d": 24 * _HOUR,
}
_BYTES: Final = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3} | {
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_QUANTITY: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def converted(values: Mapping[str, object], origin: str) -> dict[str, object]:
    """Convert what a file, the environment or a call says.

    Raises:
        SettingsError: A name is unknown, or a value is none for it.
    """
    found: dict[str, object] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        convert = _CONVERTERS.get(name)
        if convert is None:
            raise SettingsError(
                f"unknown setting {key!r} in {origin}",
                hint=f"known settings: {', '.join(sorted(_CONVERTERS))}",
            )
        try:
            found[name] = convert(value)
        except (ValueError, TypeError, KeyError) as error:
            raise SettingsError(
                f"setting {key} in {origin} cannot be {value!r}",
                hint=f"{name} is {_KINDS[convert]}",
            ) from error
    return found


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise TypeError


def _word(value: object) -> str:
    if isinstance(value, str) and value:
        return value
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


_CONVERTERS: Final[dict[str, Callable[[object], object]]] = {
    "registry": _text,
    "store": _text,
    "cache_dir": _path,
    "data_dir": _path,
    "engine": _text,
    "builder": _text,
    "layer_cache": _text,
    "compression": _text,
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
    "target": _text,
    "code_dir": _word,
}
_KINDS: Final[dict[Callable[[object], object], str]] = {
    _text: "a text",
    _word: "a text",
    _path: "a path",
    _texts: "a list of texts",
    _flag: "true or false",
    _whole: "a whole number",
    _number: "a number",
    _seconds: "a duration: seconds, or a number with s, m, h or d",
    _size: "a size: bytes, or a number with KiB, MiB or GiB",
}
