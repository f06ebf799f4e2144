"""Tests of what a lock says about its files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.image.lock import LockedWheel, normalised
from aweigh.oci import Digest


@pytest.mark.parametrize(
    ("filename", "is_wheel"),
    [
        ("a-1.0-py3-none-any.whl", True),
        ("a-1.0.tar.gz", False),
        ("a-1.0.zip", False),
    ],
)
def test_source_is_no_wheel(filename: str, *, is_wheel: bool) -> None:
    """What must be built before it is installed is known by its name."""
    wheel = LockedWheel(
        name="a",
        version="1.0",
        filename=filename,
        url=f"https://files.example/{filename}",
        digest=Digest.of(b""),
        size=None,
        step=0,
    )
    assert wheel.is_wheel is is_wheel


@pytest.mark.parametrize("name", ["Foo.Bar", "foo_bar", "FOO--bar", "foo-_.bar"])
def test_spellings_of_a_name(name: str) -> None:
    """All spellings of a project are one name."""
    assert normalised(name) == "foo-bar"


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", fullmatch=True))
def test_normal_is_normal(name: str) -> None:
    """What is normalised stays as it is."""
    assert normalised(normalised(name)) == normalised(name)
