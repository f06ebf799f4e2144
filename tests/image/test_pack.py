"""Layers are packed in one pass."""

import asyncio
import os
import tarfile
from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.image.pack import GZIP, ZSTD, Codec, choose_codec, pack
from aweigh.oci import Descriptor, Digest, Manifest
from aweigh.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from aweigh.settings import Compression


@pytest.mark.parametrize("codec", [GZIP, ZSTD])
async def test_a_layer_is_packed_in_one_pass(tmp_path: Path, codec: Codec) -> None:
    """Digest, size and diff_id are those of the file; the bytes are stable."""
    content = os.urandom(1 << 10) * (9 << 10)
    members = [Member(path="a", kind="file", size=len(content), source=content)]

    first = await pack(members, tmp_path, codec)
    second = await pack(members, tmp_path, codec)

    packed = first.path.read_bytes()
    assert first.descriptor == second.descriptor
    assert first.descriptor.digest == Digest.of(packed)
    assert first.descriptor.size == len(packed)
    if codec is GZIP:
        with tarfile.open(first.path) as archive:
            assert archive.getnames() == ["a"]


async def test_packing_stops_when_cancelled(tmp_path: Path) -> None:
    """No thread goes on for gigabytes that nobody wants."""
    place = tmp_path / "zeros"
    with place.open("wb") as file:
        file.truncate(64 << 30)
    members = [Member(path="a", kind="file", size=64 << 30, source=place)]
    packing = asyncio.ensure_future(pack(members, tmp_path, ZSTD))
    await asyncio.sleep(0.1)
    packing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await packing
    size = -1
    for _ in range(100):
        (packed,) = tmp_path.glob("tmp*")
        if packed.stat().st_size == size:
            break
        size = packed.stat().st_size
        await asyncio.sleep(0.1)
    assert packed.stat().st_size == size


@pytest.mark.parametrize(
    ("media_types", "wanted", "expected"),
    [
        ([OCI_LAYER_GZIP], "auto", GZIP),
        ([OCI_LAYER_GZIP, OCI_LAYER_ZSTD], "auto", ZSTD),
        ([OCI_LAYER_ZSTD], "gzip", GZIP),
        ([OCI_LAYER_GZIP], "zstd", ZSTD),
    ],
)
def test_zstd_is_chosen_where_it_can_be_read(
    media_types: list[str], wanted: Compression, expected: Codec
) -> None:
    """Docker 20.10 cannot pull it; whoever reads the base's zstd reads ours."""
    layers = tuple(
        Descriptor(media_type=one, digest=Digest.of(b"1"), size=1)
        for one in media_types
    )
    manifest = Manifest(config=layers[0], layers=layers)
    assert choose_codec(manifest, wanted) is expected
