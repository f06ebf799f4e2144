"""The reader of protobuf's wire format: what it reads and what it refuses."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.engine.wire import read_fields
from aweigh.errors import EngineError

NUMBERS = st.integers(1, 1000)


def varint(value: int) -> bytes:
    """Encode an unsigned integer."""
    encoded = b""
    while value > 0x7F:
        encoded += bytes([value & 0x7F | 0x80])
        value >>= 7
    return encoded + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    """Encode a field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


@given(
    st.lists(
        st.tuples(
            NUMBERS, st.one_of(st.integers(0, 2**64 - 1), st.binary(max_size=200))
        )
    )
)
def test_fields_come_back(fields: list[tuple[int, int | bytes]]) -> None:
    """What was encoded is read, in order."""
    data = b"".join(field(number, value) for number, value in fields)
    assert list(read_fields(data)) == fields


@given(st.binary(max_size=100))
def test_junk_is_fields_or_a_clear_error(data: bytes) -> None:
    """No bytes crash the reader."""
    with suppress(EngineError):
        for number, value in read_fields(data):
            assert number > 0
            assert isinstance(value, int | bytes)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x09\x01\x00\x00\x00\x00\x00\x00\x80", 2**63 + 1),
        (b"\x0d\x01\x00\x00\x80", 2**31 + 1),
    ],
)
def test_fixed_width_values_are_little_endian(data: bytes, value: int) -> None:
    """64-bit and 32-bit fields are read as unsigned integers."""
    assert list(read_fields(data)) == [(1, value)]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01",
        b"\x0b",
        b"\x08",
        b"\x0a\x05ab",
        b"\x09\x01",
        b"\x08" + b"\xff" * 11,
    ],
    ids=["number 0", "group", "no value", "short bytes", "short fixed", "long varint"],
)
def test_malformed_messages_are_refused(data: bytes) -> None:
    """What no encoder writes is an error."""
    with pytest.raises(EngineError, match="damaged"):
        list(read_fields(data))
