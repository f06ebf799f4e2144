"""Bundles made to harm: each known way out of an archive, in our format."""

import os
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

from aweigh.bundle.fetch import fetch
from aweigh.errors import AweighError, DamagedError, TreeError
from aweigh.events import silent
from aweigh.oci.digest import Digest
from aweigh.testing.store import MemoryStore
from tests.bundle.forge import Forged, folder, link, manifest_of, pack, plain, put, zstd
from tests.bundle.judge import LISTING, MANIFEST, text, u64

DEEP = b"/".join([b"d"] * 257)
LONG = b"x" * 4000 + b"/" + b"y" * 100
X = b"x"


def evil(path: bytes, *, kind: bytes = b"f") -> Forged:
    """Make a pack of one file."""
    return pack(plain(path, X, kind=kind), content=X)


# What it is, and the packs; a CVE where the shape has one.
PACKS: dict[str, list[Forged]] = {
    "traversal: CVE-2007-4559 (tarfile), CVE-2018-1002200 (zip slip)": [
        evil(b"../../evil")
    ],
    "traversal inside: CVE-2018-1002200": [evil(b"a/../../../evil")],
    "traversal at the end: CVE-2018-1000544 (rubyzip)": [evil(b"a/..")],
    "a name with a dot before it": [evil(b"./a")],
    "a doubled slash": [evil(b"a//b")],
    "absolute: CVE-2007-4559, CVE-2021-32804 (node-tar)": [evil(b"/tmp/aweigh-evil")],
    "absolute after slashes: CVE-2021-32804": [evil(b"///tmp/aweigh-evil")],
    "NUL cuts a name short: CVE-2006-7243 (PHP)": [evil(b"good.py\0../../evil")],
    "no name": [evil(b"")],
    "a slash at the end": [evil(b"a/")],
    "symlink then a file through it: CVE-2021-32803, CVE-2021-37701 (node-tar)": [
        pack(link(b"a", b".."), plain(b"a/evil", X), content=X)
    ],
    "the same from another pack": [
        pack(link(b"a", b"..")),
        pack(plain(b"a/evil", X), content=X),
    ],
    "file, then a symlink where its directory is: CVE-2018-15664 (docker cp)": [
        pack(plain(b"a/x", X), content=X),
        pack(link(b"a", b"..")),
    ],
    "directory replaced by a symlink: CVE-2021-37712 (node-tar)": [
        pack(folder(b"a")),
        pack(link(b"a", b"/tmp")),
    ],
    "symlink to an absolute path: CVE-2007-4559, CVE-2024-0406 (archiver)": [
        pack(link(b"a", b"/etc/passwd"))
    ],
    "symlink upwards: CVE-2025-4138 (tarfile)": [pack(link(b"d/a", b"../../evil"))],
    "links that lead out together: CVE-2025-4330 (tarfile)": [
        pack(link(b"a", b"."), link(b"b", b"a/../evil"))
    ],
    "links so long that a path is not resolved: CVE-2025-4517 (tarfile)": [
        pack(
            link(b"a", b"d" * 247),
            link(b"b", b"/".join([b"a"] * 16) + b"/" + b"../" * 17 + b"evil"),
        )
    ],
    "a symlink without a target": [pack(link(b"a", b""))],
    "a symlink with NUL: CVE-2006-7243": [pack(link(b"a", b"b\0c"))],
    "a symlink longer than any": [pack(link(b"a", b"x/" * 2047 + b"xx"))],
    "the name twice: CVE-2013-4787 (Android)": [
        pack(plain(b"a", X), plain(b"a", X), content=X + X)
    ],
    "the name in two packs: CVE-2013-4787": [
        pack(plain(b"a", X), content=X),
        pack(plain(b"a", b"y"), content=b"y"),
    ],
    "a file in a file": [pack(plain(b"a", X), plain(b"a/b", X), content=X + X)],
    "the marker of a fetched bundle": [evil(b".aweigh-bundle")],
    "the marker as a directory": [evil(b".aweigh-bundle/x")],
    "the marker as a symlink": [pack(link(b".aweigh-bundle", b"a"))],
    "a path too long": [evil(LONG)],
    "too deep": [evil(DEEP)],
    "names out of order": [pack(plain(b"b", X), plain(b"a", X), content=X + X)],
    "an unknown kind: setuid, device, hard link": [evil(b"a", kind=b"h")],
    "other content than its digest": [pack(plain(b"a", X), content=b"y")],
    "content cut short": [pack(plain(b"a", X * 9), content=X * 8)],
    "content that goes on": [pack(plain(b"a", X), content=X + b"more")],
    "another listing: wrong digest": [
        pack(plain(b"a", X), stored=zstd(u64(50) + b"z" * 50))
    ],
    "a listing that says it is huge": [
        pack(plain(b"a", X), stored=zstd(u64(1 << 62) + b"z" * 99))
    ],
    "a listing bomb": [
        pack(plain(b"a", X), stored=zstd(u64(1 << 24) + bytes(1 << 24)))
    ],
    "a pack bomb: CVE-2019-9674 (zipfile)": [
        pack(plain(b"a", X), content=bytes(1 << 26))
    ],
    "a truncated frame": [
        pack(plain(b"a", X * 99), stored=pack(plain(b"a", X * 99)).body[:-9])
    ],
    "garbage behind the last frame": [
        pack(plain(b"a", X), stored=pack(plain(b"a", X), content=X).body + b"garbage")
    ],
    "a window larger than memory": [
        pack(plain(b"a", X), stored=bytes.fromhex("28b52ffd00a8") + bytes(40))
    ],
    "no zstd at all": [pack(plain(b"a", X), stored=b"<html>log in</html>")],
    "an entry count that lies": [Forged(LISTING + u64(1 << 60), count=1 << 20)],
    "bytes after the last entry": [Forged(LISTING + u64(0) + b"more")],
    "a path that says it is huge": [
        Forged(LISTING + u64(1) + b"f" + b"\xff\xff\xff\xff")
    ],
    "a target cut short": [
        Forged(LISTING + u64(1) + b"l" + text(b"a") + b"\0\0\0\x09")
    ],
    "packs in the wrong order": [
        pack(plain(b"b", X), content=X),
        pack(plain(b"a", X), content=X),
    ],
    "packs whose names overlap": [
        pack(plain(b"a", X), plain(b"c", X), content=X + X),
        pack(plain(b"b", X), content=X),
    ],
    "sizes that do not fit 64 bits together": [
        pack((b"a", b"f", u64(2**64 - 1) + bytes(32)))
    ],
}


def inhabitants(root: Path) -> set[str]:
    """Return what is below a directory but lock files."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if ".aweigh-locks" not in path.parts
    }


async def refused(
    tmp_path: Path, packs: Sequence[Forged], manifest: bytes | None = None
) -> AweighError:
    """Fetch what must be refused; nothing may be left anywhere."""
    store = MemoryStore()
    digest = put(store, packs, manifest_of(packs) if manifest is None else manifest)
    (tmp_path / "here").mkdir()
    victim = tmp_path / "evil"
    victim.write_text("as it was")
    with pytest.raises(AweighError) as caught:
        await fetch(store, digest, tmp_path / "here" / "out", listener=silent)
    assert inhabitants(tmp_path) == {"here", "evil"}
    assert victim.read_text() == "as it was"
    assert not Path("/tmp/aweigh-evil").exists()
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("packs", PACKS.values(), ids=PACKS)
async def test_harmful_packs_are_refused(tmp_path: Path, packs: list[Forged]) -> None:
    """A right manifest does not make a wrong pack right, nor an escape a tree."""
    error = await refused(tmp_path, packs)
    assert isinstance(error, DamagedError) or "do not fit" in str(error)


GOOD = pack(plain(b"a", X), content=X)


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        (manifest_of([GOOD, GOOD]), "names a pack twice"),
        (manifest_of([GOOD], count=2), "cut short"),
        (manifest_of([GOOD], count=1 << 62), "cut short"),
        (manifest_of([GOOD]) + b"more", "bytes follow"),
        (manifest_of([Forged(GOOD.listing, count=0)]), "empty"),
        (manifest_of([Forged(GOOD.listing, count=2, size=1)]), "the manifest says"),
        (manifest_of([Forged(GOOD.listing, count=1, size=2)]), "the manifest says"),
        (manifest_of([Forged(GOOD.listing, count=2_000_001)]), "more than 2000000"),
        (manifest_of([Forged(GOOD.listing, count=1 << 63)]), "more than 2000000"),
        (manifest_of([Forged(b"nowhere")]), "missing"),
        (b"aweigh bundle manifest 1\n" + u64(0), "this version"),
        (MANIFEST[:-1], "cut short"),
        (b"", "cut short"),
    ],
)
async def test_manifests_that_lie_are_refused(
    tmp_path: Path, manifest: bytes, told: str
) -> None:
    """A manifest with the digest of the URI may still be made by a stranger."""
    assert told in str(await refused(tmp_path, [GOOD], manifest))


async def test_a_manifest_bomb_is_cut_short(tmp_path: Path) -> None:
    """A few kilobytes that unpack to gigabytes are given up at the limit."""
    store = MemoryStore()
    digest = Digest("0" * 64)
    bomb = zstd(bytes(64 << 20)) * 4
    store.objects[f"bundles/{digest.hex}/manifest"] = bomb
    with pytest.raises(DamagedError, match="more than"):
        await fetch(store, digest, tmp_path / "out", listener=silent)
    store.objects[f"bundles/{digest.hex}/manifest"] = os.urandom(1 << 20) * 97
    with pytest.raises(DamagedError, match="more than"):
        await fetch(store, digest, tmp_path / "out", listener=silent)
    assert inhabitants(tmp_path) == set()


async def test_what_does_not_fit_is_not_begun(tmp_path: Path) -> None:
    """A size beyond the free space is refused before a pack is asked for."""
    store = MemoryStore()
    huge = Forged(GOOD.listing, count=1, size=1 << 60)
    digest = put(store, [huge], manifest_of([huge]))
    with pytest.raises(TreeError, match="do not fit"):
        await fetch(store, digest, tmp_path / "out", listener=silent)
    assert store.requests["get"] == 1
    assert inhabitants(tmp_path) == set()


async def test_more_files_than_there_is_room_for(tmp_path: Path) -> None:
    """A file system that runs out of files is no place either; one without count is."""
    store = MemoryStore()
    digest = put(store, [GOOD], manifest_of([GOOD]))
    found = os.statvfs(tmp_path)
    values = list(found)
    values[5:8] = [100, 0, 0]
    with (
        mock.patch("os.statvfs", return_value=os.statvfs_result(values)),
        pytest.raises(TreeError, match="room for 0"),
    ):
        await fetch(store, digest, tmp_path / "out", listener=silent)
    values[5:8] = [0, 0, 0]
    with mock.patch("os.statvfs", return_value=os.statvfs_result(values)):
        await fetch(store, digest, tmp_path / "out", listener=silent)


async def test_a_ratio_that_no_tree_has_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros without end: at most an allowance, or 1000 times what came, is unpacked.

    CVE-2019-9674 and "a better zip bomb" (Fifield, 2019), in many packs.
    """
    monkeypatch.setattr("aweigh.bundle.unpack._ALLOWANCE", 50 << 20)
    size = 20 << 20
    zeros = bytes(4 << 20)
    digest = bytes.fromhex(Digest.of(bytes(size)).hex)
    packs = []
    for number in range(4):
        made = pack((b"%d" % number, b"f", u64(size) + digest))
        frames = zstd(u64(len(made.listing)) + made.listing) + zstd(zeros) * 5
        packs.append(pack((b"%d" % number, b"f", u64(size) + digest), stored=frames))
    store = MemoryStore()
    named = put(store, packs, manifest_of(packs))
    with pytest.raises(DamagedError, match="more than 1000 times"):
        await fetch(store, named, tmp_path / "out", listener=silent)
    assert inhabitants(tmp_path) == set()
    two = put(store, packs[:2], manifest_of(packs[:2]))
    out = await fetch(store, two, tmp_path / "out", listener=silent)
    assert (out / "1").stat().st_size == size


async def test_links_through_links_end(tmp_path: Path) -> None:
    """Symlinks that lead through each other 40 times are not followed for hours."""
    around = b"d/../" * 800
    lines = [
        link(b"n%03d" % number, around + b"n%03d" % (number + 1))
        for number in range(99)
    ]
    packs = [pack(*lines)]
    store = MemoryStore()
    digest = put(store, packs, manifest_of(packs))
    with pytest.raises(DamagedError, match="without end"):
        await fetch(store, digest, tmp_path / "out", listener=silent)


async def test_names_that_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deep paths weigh with all their parents, for those are kept."""
    monkeypatch.setattr("aweigh.bundle.unpack._NAMES", 100_000)
    lines = [
        plain(b"%03d/" % number + b"/".join([b"d" * 9] * 99)) for number in range(9)
    ]
    error = await refused(tmp_path, [pack(*lines)])
    assert "one name too many" in str(error)


async def test_case_is_no_way_through_a_symlink(tmp_path: Path) -> None:
    """CVE-2021-21300 (git): symlinks are made last, so nothing is written through."""
    packs = [
        pack(plain(b"A/post-checkout", X), folder(b"real"), content=X),
    ]
    packs.append(pack(link(b"sub", b"real"), plain(b"zub/x", X), content=X))
    store = MemoryStore()
    digest = put(store, packs, manifest_of(packs))
    out = await fetch(store, digest, tmp_path / "out", listener=silent)
    assert (out / "A" / "post-checkout").read_bytes() == X
    assert list((out / "real").iterdir()) == []


async def test_a_file_system_that_takes_no_such_name(tmp_path: Path) -> None:
    """A name of 256 bytes is legal elsewhere: here it is an error that names it."""
    error = await refused(tmp_path, [evil(b"n" * 256)])
    assert isinstance(error, TreeError)
    assert "n" * 256 in str(error)
