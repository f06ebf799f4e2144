"""Where a registry's API is, and which other addresses may be trusted with what."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarl import URL

from aweigh.oci.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Endpoint", "candidates", "is_inside", "is_loopback", "may_name"]

# Docker Hub is one registry by name and another by address.
_API_HOSTS = {DOCKER_HUB: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One way to reach a registry's API.

    Attributes:
        registry: Host and port as references name it.
        origin: Scheme, host and port that requests go to.
        verified: Whether its certificate must be valid (https only).
    """

    registry: str
    origin: URL
    verified: bool = True

    @property
    def plain(self) -> bool:
        """Whether nothing on the way is encrypted."""
        return self.origin.scheme == "http"


def candidates(registry: str, insecure: Collection[str]) -> tuple[Endpoint, ...]:
    """Return the ways to reach a registry, the one to try first in front.

    Plain HTTP is for this machine and for registries that were named insecure; the
    certificate goes unchecked for the latter only.
    """
    host = _API_HOSTS.get(registry, registry)
    trusted = registry in insecure or host in insecure
    secure = Endpoint(registry, URL(f"https://{host}").origin(), verified=not trusted)
    plain = Endpoint(registry, URL(f"http://{host}").origin())
    if is_loopback(secure.origin):
        return plain, secure
    return (secure, plain) if trusted else (secure,)


def is_loopback(url: URL) -> bool:
    """Tell whether a URL names this machine by loopback address or ``localhost``."""
    address = _address(url)
    return url.host == "localhost" if address is None else address.is_loopback


def may_name(endpoint: Endpoint, url: URL) -> bool:
    """Tell whether a registry may send us to this address, with or without secrets.

    No registry leads into our network from outside, and none to link-local addresses,
    where clouds answer questions about the machine. Only literal addresses and
    ``localhost`` are recognised: a name may resolve to anything, but then the
    certificate has to match it.
    """
    if url.host == endpoint.origin.host:
        return True
    address = _address(url)
    if address is not None and address.is_link_local:
        return False
    return is_inside(endpoint.origin) or not is_inside(url)


def is_inside(url: URL) -> bool:
    """Tell whether a URL names a private, link-local or loopback address."""
    address = _address(url)
    return url.host == "localhost" if address is None else not address.is_global


def _address(url: URL) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(url.host or "")
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
