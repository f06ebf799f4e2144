"""A reader of bundles made from docs/store-format.md alone, sharing no code with ours.

It trusts the store's owner as far as paths go; the page says what one that does not
must refuse.
"""

# ruff: noqa: PTH103, PTH118, PTH120, PTH123, PTH211 - bytes are paths too, but not of pathlib

import hashlib
import io
import os
from typing import BinaryIO

import zstandard


def opened(store: str, name: str) -> BinaryIO:
    """Unpack an object of a store in a directory."""
    unpacked = zstandard.ZstdDecompressor().stream_reader(
        open(os.path.join(store, name), "rb"),  # noqa: SIM115 - it closes it
        read_across_frames=True,
    )
    return io.BufferedReader(unpacked)


def exactly(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or fail."""
    found = stream.read(size)
    assert len(found) == size
    return found


def number(stream: BinaryIO, size: int = 8) -> int:
    """Read a u64, or a u32."""
    return int.from_bytes(exactly(stream, size), "big")


def text(stream: BinaryIO) -> bytes:
    """Read a str."""
    return exactly(stream, number(stream, 4))


def read_bundle(uri: str, destination: bytes) -> None:
    """Make a bundle's files below a directory, every byte verified."""
    store, _, digest = uri.removeprefix("file://").rpartition("/bundles/")
    with opened(store, f"bundles/{digest}/manifest") as stream:
        encoded = stream.read()
    assert hashlib.sha256(encoded).hexdigest() == digest
    manifest = io.BytesIO(encoded)
    assert manifest.readline() == b"aweigh bundle manifest 2\n"
    for _ in range(number(manifest)):
        listing, entries, size = (
            exactly(manifest, 32),
            number(manifest),
            number(manifest),
        )
        with opened(store, f"packs/{listing.hex()}") as pack:
            assert read_pack(pack, listing, destination) == (entries, size)
    assert not manifest.read()


def read_pack(pack: BinaryIO, digest: bytes, destination: bytes) -> tuple[int, int]:
    """Make the files of a pack; return how many entries and bytes it had."""
    encoded = exactly(pack, number(pack))
    assert hashlib.sha256(encoded).digest() == digest
    listing = io.BytesIO(encoded)
    assert listing.readline() == b"aweigh bundle listing 2\n"
    count, total = number(listing), 0
    for _ in range(count):
        kind, path = exactly(listing, 1), os.path.join(destination, text(listing))
        os.makedirs(path if kind == b"d" else os.path.dirname(path), exist_ok=True)
        if kind == b"l":
            os.symlink(text(listing), path)
        elif kind in {b"f", b"x"}:
            size, wanted = number(listing), exactly(listing, 32)
            content = exactly(pack, size)
            assert hashlib.sha256(content).digest() == wanted
            mode = 0o755 if kind == b"x" else 0o644
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, mode), "wb") as file:
                file.write(content)
            total += size
    assert not listing.read()
    assert not pack.read()
    return count, total
