"""Digests: sha256 and nothing else."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import InvalidDigestError
from aweigh.oci import Digest


@given(content=st.binary())
def test_text_means_the_same_digest(content: bytes) -> None:
    """A digest prints as sha256: and hex digits, and reads back."""
    digest = Digest.of(content)
    assert str(digest) == "sha256:" + hashlib.sha256(content).hexdigest()
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab" * 32,
        "sha256:",
        "sha256:" + "ab" * 31,
        "sha256:" + "ab" * 33,
        "sha256:" + "AB" * 32,
        "sha256:" + "ag" * 32,
        "SHA256:" + "ab" * 32,
        "sha512:" + "ab" * 64,
        "md5:" + "ab" * 16,
        "sha256:" + "ab" * 32 + "\n",
        " sha256:" + "ab" * 32,
        "sha256:" + "\u0661" * 64,
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """Another algorithm, length or case is no digest."""
    with pytest.raises(InvalidDigestError) as caught:
        Digest.parse(text)
    assert repr(text) in str(caught.value)
