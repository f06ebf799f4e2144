"""Registries: images over the OCI distribution API (aiohttp)."""

from aweigh.backends.registry.checker import RegistryChecker
from aweigh.backends.registry.client import RegistryClient, open_registry

__all__ = ["RegistryChecker", "RegistryClient", "open_registry"]
