"""Pins the Python packages of a spec with uv, for any platform, from any machine."""

from aweigh.backends.resolver.remember import RememberingResolver
from aweigh.backends.resolver.resolver import UvResolver
from aweigh.backends.resolver.uv import Uv

__all__ = ["RememberingResolver", "Uv", "UvResolver"]
