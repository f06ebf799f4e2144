"""Assembles images without an engine: layers of wheels and files, pushed directly."""

from aweigh.backends.assembler.build import AssembleBuilder
from aweigh.backends.assembler.needs import needs_engine

__all__ = ["AssembleBuilder", "needs_engine"]
