"""A Docker Swarm as a target of flows."""

from aweigh.backends.engine.target.swarm.target import SwarmTarget

__all__ = ["SwarmTarget"]
