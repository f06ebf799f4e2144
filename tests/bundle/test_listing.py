"""The listing of a pack: one encoding, and no other is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.bundle.listing import decode, encode, encode_rows
from aweigh.errors import DamagedError, TreeError
from aweigh.tree.entry import Entry
from aweigh.tree.rows import Rows
from tests.bundle.helpers import TREES


@given(TREES)
def test_decode_reads_what_encode_wrote(entries: tuple[Entry, ...]) -> None:
    """A listing survives the round trip."""
    encoded = encode(entries)
    assert decode(encoded) == entries


@given(TREES, st.data())
def test_decode_accepts_only_what_encode_writes(
    entries: tuple[Entry, ...], data: st.DataObject
) -> None:
    """A changed manifest is refused, unless it is the canonical one of another tree."""
    encoded = bytearray(encode(entries))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        found = decode(bytes(encoded))
    except DamagedError:
        return
    assert encode(found) == bytes(encoded)


@given(TREES, st.data())
def test_a_cut_manifest_is_refused(
    entries: tuple[Entry, ...], data: st.DataObject
) -> None:
    """No beginning of a manifest is a manifest."""
    encoded = encode(entries)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DamagedError, match="cut short"):
        decode(encoded[:cut])


def _raw(*entries: tuple[bytes, bytes, bytes]) -> bytes:
    encoded = b"aweigh bundle listing 2\n" + len(entries).to_bytes(8, "big")
    for kind, path, rest in entries:
        encoded += kind + len(path).to_bytes(4, "big") + path + rest
    return encoded


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (_raw((b"d", b"b", b""), (b"d", b"a", b"")), "out of order"),
        (_raw((b"d", b"a", b""), (b"d", b"a", b"")), "out of order"),
        (_raw((b"d", b"../a", b"")), "not a plain path"),
        (_raw((b"d", b"a/./b", b"")), "not a plain path"),
        (_raw((b"d", b"a//b", b"")), "not a plain path"),
        (_raw((b"d", b"/etc", b"")), "not a relative path"),
        (_raw((b"d", b"a\0b", b"")), "not a relative path"),
        (_raw((b"d", b"", b"")), "is empty"),
        (_raw((b"d", b"a" * 70_000, b"")), "too long"),
        (_raw((b"l", b"a", b"\0\0\0\1x"), (b"d", b"a/b", b"")), "no directory"),
        (_raw((b"l", b"a", b"\0\0\0\0")), "odd symlink"),
        (_raw((b"l", b"a", b"\0\0\0\1\0")), "odd symlink"),
        (_raw((b"p", b"a", b"")), "unknown kind"),
        (_raw((b"d", b"a", b"")) + b"x", "bytes follow"),
        (b"aweigh bundle listing 3\n" + bytes(8), "this version"),
    ],
)
def test_hostile_manifests_are_refused(encoded: bytes, reason: str) -> None:
    """Each way to be unsafe or not canonical has its message."""
    with pytest.raises(DamagedError, match=reason):
        decode(encoded)


def test_the_deepest_path_need_not_be_the_longest() -> None:
    """What cannot be fetched is not uploaded, however the other paths look."""
    far = b"/".join([b"d"] * 257)
    long = b"x" * 200 + b"/" + b"y" * 200 + b"/" + b"z" * 200
    for paths in ([far], [far, long], [b"a" * 5000]):
        rows = Rows(
            paths, b"f" * len(paths), [0] * len(paths), [bytes(32)] * len(paths)
        )
        with pytest.raises(TreeError, match=r"is too (deep|long)"):
            encode_rows([rows])
    fits = b"/".join([b"d"] * 256)
    encode_rows([Rows([fits, long], b"ff", [0, 0], [bytes(32)] * 2)])
