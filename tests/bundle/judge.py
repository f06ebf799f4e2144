"""A second, slow and obvious reading of the store format, sharing no code with ours."""

# ruff: noqa: PTH116, PTH118, PTH114, PTH115, PTH123

import hashlib
import io
import os
import stat
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import zstandard

# Path, kind letter, and what follows: (size, SHA-256) of a file, target of a symlink.
Line: TypeAlias = tuple[bytes, bytes, bytes]

LISTING = b"aweigh bundle listing 2\n"
MANIFEST = b"aweigh bundle manifest 2\n"


def u64(number: int) -> bytes:
    """Write a number as eight bytes, the highest first."""
    return number.to_bytes(8, "big")


def text(value: bytes) -> bytes:
    """Write a length, as four bytes, and as many bytes."""
    return len(value).to_bytes(4, "big") + value


def lines_of(root: bytes) -> list[tuple[Line, int]]:
    """Read a directory: each file, symlink and empty directory, and its weight."""
    found: list[tuple[Line, int]] = []
    for folder, folders, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        prefix = b"" if inside == b"." else inside + b"/"
        if prefix and not folders and not files:
            found.append(((prefix[:-1], b"d", b""), 0))
        for name in [*folders, *files]:
            whole = os.path.join(folder, name)
            if os.path.islink(whole):
                target = os.readlink(whole)
                found.append(((prefix + name, b"l", text(target)), len(target)))
            elif name in files:
                found.append(_file(prefix + name, whole))
    return sorted(found)


def _file(path: bytes, whole: bytes) -> tuple[Line, int]:
    with open(whole, "rb") as opened:
        content = opened.read()
    executable = os.stat(whole).st_mode & stat.S_IXUSR
    rest = u64(len(content)) + hashlib.sha256(content).digest()
    return (path, b"x" if executable else b"f", rest), len(content)


def packs_of(lines: Iterable[tuple[Line, int]]) -> list[list[tuple[Line, int]]]:
    """Divide sorted lines into packs, as the format's section on that says."""
    packs: list[list[tuple[Line, int]]] = [[]]
    weight = 0
    for line, content in lines:
        path = line[0]
        own = 64 + content + len(path)
        while len(f"{own:b}".rstrip("0")) > 3:
            # Up to the next number with fewer leading digits.
            own += own & -own
        large = line[1] in b"fx" and content >= 224 * 1024
        if packs[-1] and (large or weight + own > 224 * 1024):
            packs.append([])
            weight = 0
        packs[-1].append((line, content))
        weight += own
        drawn = weight >= 96 * 1024 and zlib.crc32(path) * 81920 < own * 2**32
        if large or drawn:
            packs.append([])
            weight = 0
    return packs if packs[-1] else packs[:-1]


def listing_of(pack: list[tuple[Line, int]]) -> bytes:
    """Write the listing of a pack."""
    lines = [kind + text(path) + rest for (path, kind, rest), _ in pack]
    return LISTING + u64(len(lines)) + b"".join(lines)


def manifest_of(root: bytes) -> bytes:
    """Write the manifest of a directory."""
    packs = packs_of(lines_of(root))
    told = MANIFEST + u64(len(packs))
    for pack in packs:
        told += hashlib.sha256(listing_of(pack)).digest()
        size = sum(content for (_, kind, _), content in pack if kind in b"fx")
        told += u64(len(pack)) + u64(size)
    return told


def digest_of(root: bytes) -> str:
    """Return the digest, in hex, of the bundle of a directory."""
    return hashlib.sha256(manifest_of(root)).hexdigest()


@dataclass(frozen=True, slots=True)
class Judged:
    """What is in a store.

    Attributes:
        packs: Hex digests of whole packs.
        bundles: Hex digests of whole bundles, whose packs are all there.
        files: Each file's SHA-256 by path, for each bundle.
    """

    packs: frozenset[str]
    bundles: frozenset[str]
    files: Mapping[str, Mapping[bytes, bytes]]


def judge(objects: Mapping[str, bytes]) -> Judged:
    """Verify every object of a store, to the last byte.

    Raises:
        AssertionError: One is not what its name says, or is named by a manifest and
            missing.
    """
    packs: dict[str, dict[bytes, bytes]] = {}
    for name, body in objects.items():
        if name.startswith("packs/"):
            packs[name[6:]] = _judge_pack(name[6:], _unpacked(body))
    files: dict[str, dict[bytes, bytes]] = {}
    for name, body in objects.items():
        if name.startswith("packs/"):
            continue
        folder, digest, what = name.split("/")
        assert (folder, what) == ("bundles", "manifest"), name
        manifest = _unpacked(body)
        assert hashlib.sha256(manifest).hexdigest() == digest, name
        assert manifest.startswith(MANIFEST), name
        rest = io.BytesIO(manifest[len(MANIFEST) :])
        (count,) = struct.unpack(">Q", rest.read(8))
        files[digest] = {}
        for _ in range(count):
            listing, entries, _size = struct.unpack(">32sQQ", rest.read(48))
            assert listing.hex() in packs, f"{name} names a pack that is not there"
            assert entries
            files[digest] |= packs[listing.hex()]
        assert not rest.read()
    return Judged(frozenset(packs), frozenset(files), files)


def _unpacked(body: bytes) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
    return reader.read()


def _judge_pack(name: str, raw: bytes) -> dict[bytes, bytes]:
    (length,) = struct.unpack(">Q", raw[:8])
    listing = raw[8 : 8 + length]
    assert hashlib.sha256(listing).hexdigest() == name, name
    content = io.BytesIO(raw[8 + length :])
    assert listing.startswith(LISTING), name
    rest = io.BytesIO(listing[len(LISTING) :])
    (count,) = struct.unpack(">Q", rest.read(8))
    files = {}
    for _ in range(count):
        kind = rest.read(1)
        path = rest.read(struct.unpack(">I", rest.read(4))[0])
        if kind in b"fx":
            size, digest = struct.unpack(">Q32s", rest.read(40))
            body = content.read(size)
            assert len(body) == size, name
            assert hashlib.sha256(body).digest() == digest, name
            files[path] = digest
        elif kind == b"l":
            rest.read(struct.unpack(">I", rest.read(4))[0])
        else:
            assert kind == b"d", name
    assert not rest.read(), name
    assert not content.read(), name
    return files
