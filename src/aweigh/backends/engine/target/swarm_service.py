"""A service that was deployed to a swarm."""

from __future__ import annotations

from aweigh.backends.engine.target.service import DockerService

__all__ = ["SwarmService"]


class SwarmService(DockerService):
    """A service as it was when it was deployed; made by `SwarmTarget.deploy`."""
