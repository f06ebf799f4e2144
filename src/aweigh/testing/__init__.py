"""Doubles of the services aweigh talks to, for its tests and for yours."""

from aweigh.testing.doubles import DictMemory, FakeClock, RecordingListener
from aweigh.testing.faults import Fault, answers, cuts, drips, hangs, redirects, resets
from aweigh.testing.proxy import FaultProxy
from aweigh.testing.registry import FakeRegistry, Received

__all__ = [
    "DictMemory",
    "FakeClock",
    "FakeRegistry",
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
