"""Assembles images without an engine: layers of wheels and files, pushed directly."""

from aweigh.backends.assembler.build import AssembleBuilder
from aweigh.backends.assembler.needs import needs_engine, only_engine
from aweigh.backends.assembler.pinning import Pinner
from aweigh.backends.assembler.preview.foresight import Foresight
from aweigh.backends.assembler.preview.previewer import LayerPreviewer
from aweigh.backends.assembler.wheels.wheelhouse import Wheelhouse

__all__ = [
    "AssembleBuilder",
    "Foresight",
    "LayerPreviewer",
    "Pinner",
    "Wheelhouse",
    "needs_engine",
    "only_engine",
]
