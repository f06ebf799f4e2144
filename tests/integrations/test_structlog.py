"""Events as log lines: names, levels, plain values."""

import structlog

from aweigh.events import BuildLogged, Checked, Warned
from aweigh.integrations.structlog import StructlogListener
from aweigh.oci import Reference


def test_events_are_logged_under_their_names() -> None:
    """Values are plain, so that every renderer can print them."""
    with structlog.testing.capture_logs() as lines:
        listener = StructlogListener()
        listener(
            Checked(
                checker="cache",
                reference=Reference.parse("r.example/t:1"),
                verdict="present",
                reason="",
                seconds=0.5,
            )
        )
        listener(BuildLogged(step="RUN x", line="hello"))
        listener(Warned(message="careful", hint="look"))
    assert lines == [
        {
            "event": "checked",
            "log_level": "info",
            "checker": "cache",
            "reference": "r.example/t:1",
            "verdict": "present",
            "reason": "",
            "seconds": 0.5,
        },
        {
            "event": "build_logged",
            "log_level": "debug",
            "step": "RUN x",
            "line": "hello",
        },
        {
            "event": "warned",
            "log_level": "warning",
            "message": "careful",
            "hint": "look",
        },
    ]


def test_a_logger_can_be_given() -> None:
    """An application's bound logger keeps its own values."""
    with structlog.testing.capture_logs() as lines:
        StructlogListener(structlog.get_logger().bind(run=7))(
            Warned(message="careful", hint="look")
        )
    assert lines[0]["run"] == 7
