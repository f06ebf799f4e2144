"""Lines out of containers: whole, bounded and safe to show."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.engine.text import LineSplitter, clean_line


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain\ttext  ", "plain\ttext"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("10%\r50%\r100%", "100%"),
        ("windows\r", "windows"),
        ("bell\x07 nul\x00 c1\x9b", "bell nul c1"),
        ("https://user:pass@host/x", "https://***@host/x"),
        ("https://token@host and http://a:b@c", "https://***@host and http://***@c"),
    ],
)
def test_lines_are_cleaned(line: str, shown: str) -> None:
    """Escapes, control characters and userinfo are gone; the text is not."""
    assert clean_line(line) == shown


def test_secrets_are_hidden_and_empty_ones_ignored() -> None:
    """Every occurrence is replaced."""
    assert clean_line("a pw b pw", ["", "pw"]) == "a *** b ***"


@given(st.text())
def test_nothing_that_steers_a_terminal_is_left(line: str) -> None:
    """No control character but the tab survives."""
    kept = clean_line(line)
    assert not [c for c in kept if unicodedata.category(c) == "Cc" and c != "\t"]


@given(st.lists(st.binary(max_size=50)))
def test_pieces_do_not_matter(pieces: list[bytes]) -> None:
    """However an output is cut, its lines are the same."""
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    lines += splitter.finish()
    whole = b"".join(pieces).decode(errors="replace").split("\n")
    assert lines == (whole if whole[-1] else whole[:-1])


def test_endless_lines_are_cut() -> None:
    """A line without an end does not fill the memory."""
    splitter = LineSplitter()
    lines = splitter.feed(b"x" * 40_000)
    assert [len(line) for line in lines] == [16_384, 16_384]
    assert splitter.finish() == ["x" * (40_000 - 2 * 16_384)]
