"""How a dev loop is to serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aweigh.errors import SpecError

__all__ = ["Serving"]

_PORTS: Final = 65_536
_USUAL: Final = 8000


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How to serve.

    Attributes:
        host: The address of this machine to listen on.
        port: The port; 0 for any that is free.
        container_port: Where the program listens; None: on ``port``, or _USUAL.
        health_path: Asked for by HTTP; every answer below 500 is a good one. None:
            the program speaks something else, and accepting connections will do.
        health_timeout: Seconds a new version has until it answers.
        drain: Seconds that requests to the old version have after a switch.
        grace: Seconds that a program has to end before it is killed.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    container_port: int | None = None
    health_path: str | None = "/"
    health_timeout: float = 60.0
    drain: float = 10.0
    grace: float = 3.0

    def __post_init__(self) -> None:
        if self.health_path is not None and not self.health_path.startswith("/"):
            raise SpecError(
                f"health path {self.health_path!r} does not begin with '/'",
                hint='write "/", "/healthz" or the like; None if it speaks no HTTP',
            )
        ports = (self.port, self.container_port or 0)
        if not all(0 <= port < _PORTS for port in ports):
            raise SpecError(
                f"no port can have the number {max(ports, key=abs)}",
                hint="use 1 to 65535, or 0 for any port that is free",
            )

    @property
    def inner_port(self) -> int:
        """The port of the container that the program listens on."""
        return self.container_port or self.port or _USUAL
