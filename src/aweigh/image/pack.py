"""Members become a layer: packed, compressed and digested in one pass."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.archive.compress import sized, zstd_chunks
from aweigh.archive.gzipped import gzip_chunks
from aweigh.archive.tar import tar_chunks
from aweigh.oci import Descriptor, Digest
from aweigh.oci.manifest import OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aweigh.archive.member import Member
    from aweigh.oci import Manifest
    from aweigh.settings import Compression

__all__ = ["GZIP", "PLAIN", "ZSTD", "Codec", "Packed", "choose_codec", "pack"]

# Level 3 packs 300 MB/s and thread; a small layer is worth a tenth of a second.
_ZSTD_LEVEL: Final = 3
_ZSTD_SMALL_LEVEL: Final = 9


@dataclass(frozen=True, slots=True)
class Codec:
    """How layers are compressed.

    Attributes:
        name: A word for it, part of what is remembered.
        media_type: What such a layer is.
    """

    name: str
    media_type: str

    def compress(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Compress a stream, on all processors; the result depends on none of them."""
        if self is ZSTD:
            frames, small = sized(chunks)
            level = _ZSTD_SMALL_LEVEL if small else _ZSTD_LEVEL
            return zstd_chunks(frames, level=level)
        if self is PLAIN:
            return iter(chunks)
        return gzip_chunks(chunks)


GZIP: Final = Codec("gzip", OCI_LAYER_GZIP)
ZSTD: Final = Codec("zstd", OCI_LAYER_ZSTD)
# For those who have it next to them: compressing would only take time.
PLAIN: Final = Codec("plain", OCI_LAYER)


def choose_codec(base: Manifest, wanted: Compression = "auto") -> Codec:
    """Choose zstd when it is wanted, or when the base's runtimes must read it anyway.

    Docker Engine reads it from version 23 on; 20.10 fails to pull such an image.
    """
    reads_zstd = any(layer.media_type == OCI_LAYER_ZSTD for layer in base.layers)
    if wanted == "zstd" or (wanted == "auto" and reads_zstd):
        return ZSTD
    return GZIP


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer on the disk.

    Attributes:
        path: The compressed layer.
        descriptor: What a manifest says of it.
        diff_id: The digest of the uncompressed layer.
    """

    path: Path
    descriptor: Descriptor
    diff_id: Digest


async def pack(members: Sequence[Member], directory: Path, codec: Codec) -> Packed:
    """Write a layer into a directory; memory stays constant.

    Cancelling ends the work after the piece that is being packed; what is in the
    directory then is to be removed with it.

    Raises:
        ChangedError: A file is not what it was when it was listed.
        TreeError: A path is unsafe or a file cannot be read.
        OSError: The disk is full.
    """
    stopped = threading.Event()
    try:
        return await asyncio.to_thread(_pack, members, directory, codec, stopped)
    except asyncio.CancelledError:
        stopped.set()
        raise


def _pack(
    members: Sequence[Member], directory: Path, codec: Codec, stopped: threading.Event
) -> Packed:
    plain, packed = hashlib.sha256(), hashlib.sha256()
    size = 0
    with tempfile.NamedTemporaryFile(dir=directory, delete=False) as file:
        told = _tell(tar_chunks(members), plain.update)
        for piece in codec.compress(told):
            if stopped.is_set():
                break
            packed.update(piece)
            size += file.write(piece)
    descriptor = Descriptor(
        media_type=codec.media_type, digest=Digest(packed.hexdigest()), size=size
    )
    return Packed(Path(file.name), descriptor, Digest(plain.hexdigest()))


def _tell(
    chunks: Iterable[bytes], update: Callable[[bytes], object]
) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk
