"""An image that exists, pinned by digest."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from aweigh.oci import Digest, Platform, Reference
from aweigh.oci.layout import blob_path

__all__ = ["Image", "Location", "Origin"]

Location = Literal["registry", "engine", "layout"]
Origin = Literal["recalled", "found", "built"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that was checked, found or built; immutable by its digest.

    Attributes:
        reference: Repository and tag under which it was ensured.
        digest: In a registry or a layout: of the index. In the engine: the image id.
        location: Who holds it.
        platforms: The platforms that it is known to have.
        origin: Whether it was ``recalled`` from memory, ``found`` where it should be,
            or ``built`` by this call.
        verified_at: When its holder last confirmed it, in seconds since the epoch.
        layout: The directory of the layout that holds it, if one does.
    """

    reference: Reference
    digest: Digest
    location: Location
    platforms: frozenset[Platform]
    origin: Origin
    verified_at: float
    layout: Path | None = None

    @property
    def file(self) -> Path | None:
        """The file that has its index, when a layout on this machine holds it."""
        return None if self.layout is None else blob_path(self.layout, self.digest)

    def __str__(self) -> str:
        """What the place that holds the image can run."""
        if self.location == "engine":
            return str(self.digest)
        if self.layout is not None:
            return f"oci:{self.layout}@{self.digest}"
        return str(self.reference.with_digest(self.digest))

    def to_value(self, spec_digest: Digest) -> bytes:
        """Encode what has to be remembered about the image of this spec."""
        body = {
            "reference": str(self.reference),
            "digest": str(self.digest),
            "location": self.location,
            "platforms": sorted(map(str, self.platforms)),
            "spec": str(spec_digest),
        }
        if self.layout is not None:
            body["layout"] = str(self.layout)
        return json.dumps(body, separators=(",", ":")).encode()

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def from_value(
        value: bytes, *, spec_digest: Digest, verified_at: float
    ) -> Image | None:
        """Decode what was remembered; None unless it is an image of this spec."""
        try:
            body = json.loads(value)
            location = body["location"]
            if body["spec"] != str(spec_digest) or location not in get_args(Location):
                return None
            layout = Path(body["layout"]) if location == "layout" else None
            return Image(
                reference=Reference.parse(body["reference"]),
                digest=Digest.parse(body["digest"]),
                location=location,
                platforms=frozenset(map(Platform.parse, body["platforms"])),
                origin="recalled",
                verified_at=verified_at,
                layout=layout,
            )
        except (KeyError, TypeError, AttributeError, ValueError):
            return None
