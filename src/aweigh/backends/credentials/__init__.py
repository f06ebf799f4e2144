"""Credentials of registries, as Docker and Podman keep them."""

from aweigh.backends.credentials.docker import DockerCredentials

__all__ = ["DockerCredentials"]
