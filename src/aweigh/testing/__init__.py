"""Doubles of the services aweigh talks to, for its tests and for yours."""

from aweigh.testing.faults import Fault, answers, cuts, drips, hangs, redirects, resets
from aweigh.testing.proxy import FaultProxy
from aweigh.testing.registry import FakeRegistry, Received

__all__ = [
    "FakeRegistry",
    "Fault",
    "FaultProxy",
    "Received",
    "answers",
    "cuts",
    "drips",
    "hangs",
    "redirects",
    "resets",
]
