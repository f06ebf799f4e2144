"""Assembles images without an engine: layers of wheels and files, pushed directly."""

from aweigh.backends.assembler.build import AssembleBuilder
from aweigh.backends.assembler.needs import needs_engine
from aweigh.backends.assembler.pinning import Pinner

__all__ = ["AssembleBuilder", "Pinner", "needs_engine"]
