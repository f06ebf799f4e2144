"""The images an engine has: inspecting and tagging them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aweigh.errors import EngineError, InvalidDigestError
from aweigh.oci import Digest, Platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aweigh.backends.engine.client import Engine

__all__ = ["LocalImage", "inspect_image", "tag_image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """An image in the engine's own store.

    Attributes:
        id: The engine's name for exactly this content.
        size: Bytes on disk, shared layers included.
        platform: Where it runs.
        labels: Its labels.
    """

    id: Digest
    size: int
    platform: Platform
    labels: Mapping[str, str]


async def inspect_image(engine: Engine, name: str) -> LocalImage | None:
    """Return what the engine knows of an image, or None when it has none.

    Args:
        engine: The engine.
        name: A reference or an image id.

    Raises:
        EngineError: The engine is missing, or its answer is no description.
    """
    found = await engine.fetch(f"images/{name}/json")
    if found is None:
        return None
    try:
        return _parse(found)
    except (KeyError, TypeError, AttributeError, InvalidDigestError) as exc:
        raise EngineError(
            f"the engine at {engine.host} describes {name} in a way we cannot read",
            hint="update the engine, or aweigh",
        ) from exc


def _parse(found: Any) -> LocalImage:
    platform = Platform.of(
        found["Os"], found["Architecture"], found.get("Variant") or ""
    )
    labels = (found.get("Config") or {}).get("Labels") or {}
    return LocalImage(
        id=Digest.parse(found["Id"]),
        size=int(found.get("Size") or 0),
        platform=platform,
        labels={str(key): str(value) for key, value in labels.items()},
    )


async def tag_image(engine: Engine, image: Digest, repository: str, tag: str) -> None:
    """Give an image one more name; a name another image has moves to this one.

    Raises:
        EngineError: The engine is missing, or no longer has the image.
    """
    await engine.send(
        "POST", f"images/{image}/tag", params={"repo": repository, "tag": tag}
    )
