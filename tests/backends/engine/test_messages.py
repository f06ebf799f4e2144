"""The engine's JSON messages: split, parsed, refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.engine import messages
from aweigh.backends.engine.messages import MessageSplitter, message_error
from aweigh.errors import EngineError


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9))),
    st.integers(1, 20),
)
def test_pieces_do_not_matter(wanted: list[dict[str, str]], width: int) -> None:
    """However the answer is cut, its messages are the same."""
    data = b"".join(json.dumps(message).encode() + b"\r\n" for message in wanted)
    splitter = MessageSplitter("host")
    found = [
        message
        for start in range(0, len(data), width)
        for message in splitter.feed(data[start : start + width])
    ]
    assert found + splitter.finish() == wanted


def test_the_last_message_needs_no_line_break() -> None:
    """An answer that ends after its last message is whole."""
    splitter = MessageSplitter("host")
    assert splitter.feed(b'{"a": 1}') == []
    assert splitter.finish() == [{"a": 1}]
    assert splitter.finish() == []


@pytest.mark.parametrize(
    "line", [b"<html>\n", b"[1]\n", b"\xff\n", b"[" * 9999 + b"\n"]
)
def test_other_lines_are_refused(line: bytes) -> None:
    """What is no JSON object is an error that names the engine."""
    with pytest.raises(EngineError, match="engine at host sent"):
        MessageSplitter("host").feed(line)


def test_half_a_message_is_refused() -> None:
    """An answer that was cut off is an error."""
    splitter = MessageSplitter("host")
    splitter.feed(b'{"a"')
    with pytest.raises(EngineError, match="half"):
        splitter.finish()


def test_a_message_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory stays bounded."""
    monkeypatch.setattr(messages, "_MESSAGE_LIMIT", 100)
    splitter = MessageSplitter("host")
    splitter.feed(b"x" * 60)
    with pytest.raises(EngineError, match="without an end"):
        splitter.feed(b"x" * 60)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"status": "fine"}, ""),
        ({"error": "short"}, "short"),
        ({"error": "short", "errorDetail": {"message": "long"}}, "long"),
        ({"error": "short", "errorDetail": {}}, "short"),
        ({"error": "short", "errorDetail": "odd"}, "short"),
    ],
)
def test_errors_in_the_stream_are_found(message: dict[str, object], error: str) -> None:
    """The detailed message wins."""
    assert message_error(message) == error
