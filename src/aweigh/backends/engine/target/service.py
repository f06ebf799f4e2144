"""A service that was deployed to an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aweigh.flow.target import LogLine, ServiceTarget

__all__ = ["DeployedService"]


class DeployedService:
    """A service as it was when it was deployed; made by `deploy` of its target."""

    def __init__(
        self,
        target: ServiceTarget,
        *,
        name: str,
        image: str,
        url: str | None,
        count: int,
    ) -> None:
        self._target = target
        self._name = name
        self._image = image
        self._url = url
        self._count = count

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def image(self) -> str:
        """What its replicas run, by digest."""
        return self._image

    @property
    def url(self) -> str | None:
        """Where its first published port answers; None when it publishes none."""
        return self._url

    @property
    def replicas(self) -> int:
        """How many there are to be."""
        return self._count

    def logs(self, *, follow: bool = False) -> AsyncGenerator[LogLine, None]:
        """Iterate over what all replicas write; close the generator when done."""
        return self._target.logs(self._name, follow=follow)

    async def remove(self) -> None:
        """Stop it and remove everything that belongs to it."""
        await self._target.remove(self._name)
