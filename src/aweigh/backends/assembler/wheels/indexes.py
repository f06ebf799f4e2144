"""Which index a locked wheel came from: uv's cache is arranged by index."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.process import run_process
from aweigh.backends.assembler.uvenv import scrubbed
from aweigh.image.lock import normalised
from aweigh.image.steps import PackagesStep, RequirementsStep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.image.spec import ImageSpec

__all__ = ["Indexes", "default_index"]

_VARIABLES: Final = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
# Indexes may have names, by which their credentials are found: ``private=https://...``.
_NAME: Final = re.compile(r"^[\w.-]+=")
_TOLD: Final = re.compile(r"default package index \(by default: <([^>\s]+)>\)")


async def default_index(uv: str, environ: Mapping[str, str]) -> str:
    """Ask uv which index it takes when nobody names one; empty if it does not say.

    Nothing is asked of that index here: a wheel's URL is in the lock.
    """
    said = await run_process([uv, "pip", "compile", "--help"], environ=environ)
    told = _TOLD.search(" ".join(said.output.split()))
    return told[1] if told else ""


class Indexes:
    """Names the index of each wheel of a lock.

    Args:
        spec: Its steps name indexes.
        lock: Its text may name them for each package.
        environ: uv's variables name the default.
        default: uv's own default, see `default_index`.
    """

    def __init__(
        self,
        spec: ImageSpec,
        lock: Lock,
        environ: Mapping[str, str],
        *,
        default: str = "",
    ) -> None:
        self._steps = spec.steps
        told = (environ.get(name) for name in _VARIABLES)
        self._default = scrubbed(_NAME.sub("", next(filter(None, told), default)))
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
