"""One Docker Engine as a target of flows."""

from aweigh.backends.engine.target.docker.target import DockerTarget

__all__ = ["DockerTarget"]
