"""Whether an image without a registry exists: the engine's own store answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.backends.engine.local import inspect_image
from aweigh.errors import EngineError
from aweigh.image.checker import Absent, Present, Unknown
from aweigh.oci import Descriptor
from aweigh.oci.manifest import DOCKER_CONFIG

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.image.checker import Verdict
    from aweigh.oci import Platform, Reference

__all__ = ["EngineChecker"]


class EngineChecker:
    """Asks the engine for images that live nowhere else.

    The descriptor of a Present names the image id, which is the digest of the
    image's config; the engine keeps one platform per name.
    """

    name = "engine"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Say whether the engine has ``reference`` for all of these platforms."""
        try:
            found = await inspect_image(self._engine, str(reference))
        except EngineError as exc:
            return Unknown(str(exc), exc.hint)
        if found is None:
            return Absent(f"the engine at {self._engine.host} has no {reference}")
        if missing := platforms - {found.platform}:
            wanted = ", ".join(map(str, sorted(missing)))
            return Absent(f"the engine has it for {found.platform}, not for {wanted}")
        return Present(
            Descriptor(media_type=DOCKER_CONFIG, digest=found.id, size=found.size),
            frozenset({found.platform}),
        )
