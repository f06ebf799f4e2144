"""What an engine is and can do, for `doctor` and for decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.errors import EngineError
from aweigh.oci import Platform

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine

__all__ = ["EngineInfo", "engine_info"]

# POST /build?version=2 exists since this API version (Docker 18.09).
_BUILDKIT_SINCE = (1, 39)
_CONTAINERD_DRIVER = "io.containerd.snapshotter"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """An engine that answered.

    Attributes:
        host: Where it answered.
        version: Its version, such as ``20.10.24``.
        api_version: Its newest API version, such as ``1.41``.
        platform: What it runs without emulation.
        storage_driver: How it keeps layers, such as ``overlay2``.
        has_containerd_store: Whether images live in containerd's store, where they
            keep their registry digests and several platforms.
        has_buildkit: Whether it can build with BuildKit.
    """

    host: str
    version: str
    api_version: str
    platform: Platform
    storage_driver: str
    has_containerd_store: bool
    has_buildkit: bool


async def engine_info(engine: Engine) -> EngineInfo:
    """Ask an engine what it is.

    Raises:
        EngineUnavailableError: It does not answer in time.
        EngineError: Its answer is not one of a Docker engine.
    """
    version = await engine.send("GET", "version")
    info = await engine.send("GET", "info")
    try:
        api_version = str(version["ApiVersion"])
        parts = [component["Name"] for component in version.get("Components") or ()]
        status = dict(entry[:2] for entry in info.get("DriverStatus") or ())
        return EngineInfo(
            host=engine.host,
            version=str(version["Version"]),
            api_version=api_version,
            platform=Platform.of(str(version["Os"]), str(version["Arch"])),
            storage_driver=str(info["Driver"]),
            has_containerd_store=_CONTAINERD_DRIVER
            in str(status.get("driver-type", "")),
            has_buildkit=_number(api_version) >= _BUILDKIT_SINCE
            and version["Os"] == "linux"
            and "Podman Engine" not in parts,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise EngineError(
            f"what answers at {engine.host} is not a Docker engine we know",
            hint="Docker Engine 20.10 or newer is supported",
        ) from exc


def _number(api_version: str) -> tuple[int, int]:
    major, _, minor = api_version.partition(".")
    return int(major), int(minor)
