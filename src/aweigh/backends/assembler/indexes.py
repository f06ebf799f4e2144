"""Which index a locked wheel came from: uv's cache is arranged by index."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.uvenv import scrubbed
from aweigh.image.lock import normalised
from aweigh.image.steps import PackagesStep, RequirementsStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.image.spec import ImageSpec

__all__ = ["Indexes"]

# uv's own default. Nothing is asked of it here: the wheel's URL is in the lock.
_DEFAULT: Final = "https://pypi.org/simple"
_VARIABLES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")


class Indexes:
    """Names the index of each wheel of a lock.

    Args:
        spec: Its steps name indexes.
        lock: Its text may name them for each package.
        environ: uv's variables name the default.
    """

    def __init__(self, spec: ImageSpec, lock: Lock, environ: Mapping[str, str]) -> None:
        self._steps = spec.steps
        told = (environ.get(name) for name in _VARIABLES)
        self._default = scrubbed(next(filter(None, told), _DEFAULT))
        packages = tomllib.loads(lock.text).get("packages", [])
        self._named = {
            (normalised(one["name"]), one.get("version")): one["index"]
            for one in packages
            if "index" in one
        }

    def of(self, wheel: LockedWheel) -> str:
        """Return the index, as uv calls it."""
        named = self._named.get((wheel.name, wheel.version))
        if named:
            return scrubbed(str(named))
        step = self._steps[wheel.step] if wheel.step < len(self._steps) else None
        if isinstance(step, PackagesStep | RequirementsStep) and step.options.index_url:
            return step.options.index_url
        return self._default
