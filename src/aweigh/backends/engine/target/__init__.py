"""One Docker Engine, or a swarm of them, as a target of flows."""

from aweigh.backends.engine.target.docker import DockerTarget
from aweigh.backends.engine.target.swarm import SwarmTarget

__all__ = ["DockerTarget", "SwarmTarget"]
