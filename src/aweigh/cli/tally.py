"""What a command made, counted from its events: for the last line and for CI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aweigh import events
from aweigh.cli.output import readable_size, readable_time

if TYPE_CHECKING:
    from aweigh.events import Event

__all__ = ["Tally"]

_CONFIG: Final = "config"


class Tally:
    """What is known of image, bundle and code so far.

    Attributes:
        image: The pinned image, empty until it is known.
        bundle: The bundle's URI, empty until it is known.
        code: The image with the code in it, empty when there is none.
        url: Where a service answers, empty when there is none.
    """

    def __init__(self) -> None:
        self.image = ""
        self.bundle = ""
        self.code = ""
        self.url = ""
        self._origins: dict[str, str] = {}
        self._pushed = 0
        self._reused = 0
        self._image_bytes = 0
        self._bundle_bytes = 0
        self._began = time.monotonic()

    def __call__(self, event: Event, /) -> None:
        """Take note of an event."""
        match event:
            case events.ImageEnsured(reference=reference, origin=origin):
                self.image = reference
                self._origins["image"] = origin
            case events.BundleUploaded(uri=uri, origin=origin, uploaded_bytes=sent):
                self.bundle = uri
                self._origins["bundle"] = origin
                self._bundle_bytes += sent
            case events.CodeDelivered(reference=reference, origin=origin):
                self.code = reference
                self._origins["code"] = origin
            case events.BlobPushed(layer=layer, reused=reused, size=size):
                # The config is no layer, but its bytes moved.
                self._reused += reused and layer != _CONFIG
                self._pushed += not reused and layer != _CONFIG
                self._image_bytes += 0 if reused else size
            case events.ServiceDeployed(url=url):
                self.url = url or ""
            case _:
                pass

    @property
    def digest(self) -> str:
        """The image's digest; empty until the image is known."""
        return self.image.rpartition("@")[2] if "@" in self.image else ""

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._began

    def line(self) -> str:
        """Everything in one line; empty when nothing was made or found."""
        named = (
            (name, self._origins.get(name)) for name in ("image", "bundle", "code")
        )
        parts = [f"{name} {origin}" for name, origin in named if origin]
        if not parts:
            return ""
        if self._pushed or self._reused:
            pushed = f" ({readable_size(self._image_bytes)})" if self._pushed else ""
            count = f"{self._pushed} layer{'s' * (self._pushed != 1)}"
            parts.append(f"{count} pushed{pushed}, {self._reused} reused")
        if self._bundle_bytes:
            parts.append(f"{readable_size(self._bundle_bytes)} of code sent")
        return f"done    {', '.join(parts)} [{readable_time(self.seconds)}]"
