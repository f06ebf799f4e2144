"""The events of `aweigh.events`: all are there, none is made before it is needed."""

import subprocess
import sys

import pytest

from aweigh import events

PROGRAM = """
import sys
import aweigh.session
made = {name for name in sys.modules if name.startswith("aweigh.events.")}
print(*sorted(made))
"""


def test_every_name_is_there() -> None:
    """Listed and found, whichever module it is in; no other is."""
    assert set(events.__all__) <= set(dir(events))
    kinds = [getattr(events, name) for name in events.__all__]
    assert len(set(kinds)) == len(events.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        getattr(events, "Nothing")  # noqa: B009 - checkers know that there is none


def test_a_session_makes_few_of_them() -> None:
    """What a build or a target sends is not imported with the session."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    assert {"aweigh.events.build", "aweigh.events.flow"}.isdisjoint(done.stdout.split())
