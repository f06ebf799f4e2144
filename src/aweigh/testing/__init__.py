"""Doubles of the services aweigh talks to, for its tests and for yours."""

from aweigh.testing.doubles import DictMemory, FakeClock, RecordingListener
from aweigh.testing.faults import Fault, answers, cuts, drips, hangs, redirects, resets
from aweigh.testing.proxy import FaultProxy
from aweigh.testing.registry import FakeRegistry, Received
from aweigh.testing.targets import FakeService, FakeTarget

__all__ = [
    "DictMemory",
    "FakeClock",
    "FakeRegistry",
    "FakeService",
    "FakeTarget",
    "Fault",
    "FaultProxy",
    "Received",
    "RecordingListener",
    "answers",
    "cuts",
    "drips",
    "hangs",
    "redirects",
    "resets",
]
