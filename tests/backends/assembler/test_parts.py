"""The small parts of the assembler, each by itself."""

import asyncio
import json
import os
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uv import find_uv_bin

from aweigh.archive.member import Member
from aweigh.backends.assembler.bases.base import BaseFacts
from aweigh.backends.assembler.bases.config import ImageConfig
from aweigh.backends.assembler.bases.fits import refuse_misfits
from aweigh.backends.assembler.bases.probe import Findings, scan_layer
from aweigh.backends.assembler.layers.members import in_directories, staged_members
from aweigh.backends.assembler.layers.memo import cache_tag
from aweigh.backends.assembler.layers.pack import GZIP, ZSTD, Codec, choose_codec, pack
from aweigh.backends.assembler.process import run_process
from aweigh.backends.assembler.uvenv import scrubbed, uv_environment
from aweigh.backends.assembler.wheels.indexes import Indexes, default_index
from aweigh.backends.assembler.wheels.lockfile import write_lock
from aweigh.backends.assembler.wheels.records import Row, read_record, write_record
from aweigh.backends.assembler.wheels.stage import uv_platform
from aweigh.errors import (
    DamagedError,
    InvalidManifestError,
    NeedsEngineError,
    SpecError,
)
from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Digest, Manifest, Platform
from aweigh.oci.manifest import OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from aweigh.settings import Compression, environment
from tests.backends.assembler.support import AMD64, ARM64, tar

FACTS = BaseFacts(
    python="3.11", interpreter="/usr/bin/python3.11", libc="manylinux_2_36"
)
MUSL = BaseFacts(python="3.11", interpreter="/usr/bin/python3", libc="musllinux_1_2")
CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"1"))]},
}


def wheel(filename: str, *, step: int = 0) -> LockedWheel:
    """Lock a file of this name."""
    return LockedWheel(
        name="a",
        version="1.0",
        filename=filename,
        url=f"https://files.test/{filename}",
        digest=Digest.of(b"a"),
        size=None,
        step=step,
    )


@pytest.mark.parametrize(
    "tags",
    [
        "py3-none-any",
        "py2.py3-none-any",
        "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
        "cp38-abi3-manylinux_2_28_x86_64",
        "cp311-none-linux_x86_64",
        "py37-none-manylinux1_x86_64",
    ],
)
def test_wheels_that_run_are_accepted(tags: str) -> None:
    """Pure, exact, stable-ABI and older ones."""
    refuse_misfits([wheel(f"a-1.0-{tags}.whl")], FACTS, AMD64)


@pytest.mark.parametrize(
    ("filename", "reason"),
    [
        ("a-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "for cp312"),
        ("a-1.0-cp311-cp311t-manylinux_2_17_x86_64.whl", "for cp311"),
        ("a-1.0-cp312-abi3-manylinux_2_17_x86_64.whl", "for cp312"),
        ("a-1.0-py2-none-any.whl", "for py2"),
        ("a-1.0-pp311-pypy311_pp73-any.whl", "for pp311"),
        ("a-1.0-py3-none-manylinux_2_39_x86_64.whl", "the base is manylinux_2_36_x86"),
        ("a-1.0-py3-none-manylinux_2_17_aarch64.whl", "manylinux_2_17_aarch64"),
        ("a-1.0-py3-none-macosx_11_0_arm64.whl", "macosx_11_0_arm64"),
        ("a.whl", "says nothing"),
    ],
)
def test_wheels_that_cannot_run_are_refused(filename: str, reason: str) -> None:
    """The error says what they are for."""
    with pytest.raises(SpecError, match=reason):
        refuse_misfits([wheel(filename)], FACTS, AMD64)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "only a-1.0.tar.gz"),
        ({"url": "git+https://h.example/a@1234"}, "git.https://h.example/a@1234"),
    ],
)
def test_what_has_to_be_built_needs_an_engine(
    changes: dict[str, str], named: str
) -> None:
    """What there is instead of a wheel is named, and the ways out."""
    source = replace(wheel("a-1.0.tar.gz"), **changes)  # type: ignore[arg-type]
    with pytest.raises(NeedsEngineError, match=f"for linux/amd64, .*{named}") as caught:
        refuse_misfits([source], FACTS, AMD64)
    assert "with_wheel" in caught.value.hint


def test_musl_takes_only_its_own() -> None:
    """The two C libraries do not mix."""
    refuse_misfits([wheel("a-1-py3-none-musllinux_1_1_aarch64.whl")], MUSL, ARM64)
    with pytest.raises(SpecError, match="manylinux"):
        refuse_misfits([wheel("a-1-py3-none-manylinux_2_17_aarch64.whl")], MUSL, ARM64)


@pytest.mark.parametrize(
    ("platform", "libc", "expected"),
    [
        ("linux/amd64", "manylinux_2_36", "x86_64-manylinux_2_36"),
        ("linux/arm64", "manylinux_2_30", "aarch64-manylinux_2_28"),
        ("linux/amd64", "manylinux_2_99", "x86_64-manylinux_2_40"),
        ("linux/arm64", "musllinux_1_2", "aarch64-unknown-linux-musl"),
    ],
)
def test_uv_knows_platforms_by_other_names(
    platform: str, libc: str, expected: str
) -> None:
    """The nearest older C library is taken."""
    assert uv_platform(Platform.parse(platform), libc) == expected


def test_exotic_platforms_are_refused() -> None:
    """With the way out."""
    with pytest.raises(SpecError, match="linux/s390x"):
        uv_platform(Platform.parse("linux/s390x"), "manylinux_2_36")


@given(
    st.lists(
        st.builds(
            Row,
            st.text(
                st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1
            ),
            st.sampled_from(["", Row.of("", b"x").hash]),
            st.sampled_from(["", "1"]),
        )
    )
)
def test_records_come_back(rows: list[Row]) -> None:
    """Whatever paths contain: commas, quotes, letters of any script."""
    assert read_record(write_record(rows).decode()) == sorted(set(rows))


def test_a_row_has_a_digest_or_none() -> None:
    """Only SHA-256 is understood."""
    assert Row.of("a", b"abc").digest == Digest.of(b"abc")
    assert Row("a", "md5=abc").digest is None
    assert Row("a", "sha256=abc").digest is None
    assert Row("a", "sha256=a").digest is None


def test_a_library_as_link_tells_its_version() -> None:
    """As older releases of Debian and Ubuntu have it; musl is told by its loader."""
    findings = Findings()
    scan_layer([tar({"lib/x86_64-linux-gnu/libc.so.6": "libc-2.31.so"})], findings)
    assert findings.libc == "glibc 2.31"
    musl = Findings()
    scan_layer([tar({"lib/ld-musl-x86_64.so.1": b"x"})], musl)
    assert musl.libc == "musl 1.2"
    with pytest.raises(DamagedError):
        scan_layer([b"no tar at all" * 100], Findings())


def test_links_that_turn_in_circles_end() -> None:
    """A strange base must not hang us."""
    findings = Findings(links={"/a": "/b", "/b": "/a"})
    assert findings.resolve("/a/x") in {"/a/x", "/b/x"}


def test_a_config_without_history_gets_none() -> None:
    """A history must fit the layers, or be missing."""
    config = ImageConfig.parse(json.dumps(CONFIG | {"history": []}).encode())
    more = config.with_layers([("x", Digest.of(b"2"))])
    assert "history" not in more.document
    assert len(more.diff_ids) == 2
    assert config.path.startswith("/usr/local/sbin:")


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"os": 1}', b'{"os": "linux"}'])
def test_what_is_no_config_is_refused(content: bytes) -> None:
    """Whatever the registry sent."""
    with pytest.raises(InvalidManifestError):
        ImageConfig.parse(content)


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


async def test_a_cancelled_process_ends_with_its_children(tmp_path: Path) -> None:
    """The whole group is killed."""
    told = tmp_path / "pid"
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(told)!r}, 'w').write(f'{{child.pid}} ')\n"
        "time.sleep(60)\n"
    )
    running = asyncio.ensure_future(
        run_process([sys.executable, "-c", script], environ=environment())
    )
    while not told.exists() or not told.read_text().endswith(" "):
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    child = int(told.read_text())
    for _ in range(100):
        status = Path(f"/proc/{child}/stat")
        if not status.exists() or status.read_text().split()[2] == "Z":
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the child lives")


def test_host_paths_and_links_are_refused(tmp_path: Path) -> None:
    """Nothing of this machine gets into a layer."""
    editable = tmp_path / "one"
    editable.mkdir()
    (editable / "__editable__.a.pth").write_text("/elsewhere/src\n")
    with pytest.raises(SpecError, match="path of this machine"):
        staged_members(editable, "3.11", host_paths=["/home/me/"], trust=True)
    (editable / "__editable__.a.pth").rename(editable / "a.pth")
    staged_members(editable, "3.11", host_paths=["/home/me/"], trust=True)
    (editable / "a.pth").write_text("/home/me/src\n")
    with pytest.raises(SpecError, match=r"a\.pth"):
        staged_members(editable, "3.11", host_paths=["/home/me/"], trust=True)
    linked = tmp_path / "two"
    linked.mkdir()
    (linked / "a").symlink_to("b")
    with pytest.raises(SpecError, match="link or special"):
        staged_members(linked, "3.11", host_paths=[], trust=True)


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    """They would be one file on other systems."""
    for name in ("README", "readme"):
        (tmp_path / name).write_text(name)
    with pytest.raises(SpecError, match="where case does not count"):
        staged_members(tmp_path, "3.11", host_paths=[], trust=True)


def test_long_shebangs_and_local_origins_are_rewritten(tmp_path: Path) -> None:
    """Uv starts interpreters with long paths through a shell."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "run"
    script.write_text(
        "#!/bin/sh\n'''exec' '/long/python' \"$0\" \"$@\"\n' '''\nx = 1\n"
    )
    (tmp_path / "bin" / "other").write_text("#!/bin/sh\necho hi\n")
    info = tmp_path / "a-1.dist-info"
    info.mkdir()
    (info / "direct_url.json").write_text('{"url": "file:///home/me/a.whl"}')
    (info / "RECORD").write_text("bin/run,,\na-1.dist-info/direct_url.json,,\n")
    members = staged_members(tmp_path, "3.11", host_paths=["/long/"], trust=True)
    found = {member.path: member for member in members}
    assert found["opt/venv/bin/run"].source == b"#!/opt/venv/bin/python\nx = 1\n"
    assert isinstance(found["opt/venv/bin/other"].source, Path)
    record = found["opt/venv/lib/python3.11/site-packages/a-1.dist-info/RECORD"]
    assert isinstance(record.source, bytes)
    assert record.source.startswith(b"../../../bin/run,sha256=")
    assert b"direct_url" not in record.source


def test_metadata_of_vendored_packages_is_left_alone(tmp_path: Path) -> None:
    """What a package carries below itself was not installed by anybody."""
    info = tmp_path / "pkg" / "_vendor" / "a-1.dist-info"
    info.mkdir(parents=True)
    names = ("RECORD", "REQUESTED", "direct_url.json")
    for name in names:
        (info / name).write_text("a.py,,\nfile:///somewhere,,\n")
    members = staged_members(tmp_path, "3.11", host_paths=[], trust=False)
    assert {
        one.path.rpartition("/")[2]: one.source for one in members if one.kind == "file"
    } == {name: info / name for name in names}


def test_a_package_called_share_is_a_package(tmp_path: Path) -> None:
    """Only data goes beside site-packages."""
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "__init__.py").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "x").touch()
    paths = {
        member.path
        for member in staged_members(tmp_path, "3.11", host_paths=[], trust=True)
    }
    assert "opt/venv/lib/python3.11/site-packages/share/__init__.py" in paths
    assert "opt/venv/etc/x" in paths


def test_headers_are_where_installers_put_them(tmp_path: Path) -> None:
    """Below the Python and the name of their distribution; data stays where it is."""
    for path in ("include/green_let/g.h", "include/other/o.h", "include/top.h"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "Green.Let-1.dist-info").mkdir()
    record = tmp_path / "Green.Let-1.dist-info" / "RECORD"
    record.write_text("include/green_let/g.h,,\ninclude/other/o.h,,\n")
    members = staged_members(tmp_path, "3.11", host_paths=[], trust=False)
    files = {one.path: one.source for one in members if one.kind == "file"}
    packages = "opt/venv/lib/python3.11/site-packages"
    assert files.pop(f"{packages}/Green.Let-1.dist-info/RECORD") == (
        b"../../../include/other/o.h,,\n"
        b"../../../include/site/python3.11/green_let/g.h,,\n"
    )
    assert set(files) == {
        "opt/venv/include/site/python3.11/green_let/g.h",
        "opt/venv/include/other/o.h",
        "opt/venv/include/top.h",
    }


def test_directories_are_listed_before_what_is_in_them() -> None:
    """Each once."""
    members = in_directories([Member(path="a/b/c", kind="file", source=b"")])
    assert [(one.path, one.kind) for one in members] == [
        ("a", "directory"),
        ("a/b", "directory"),
        ("a/b/c", "file"),
    ]


def test_indexes_are_those_of_lock_step_and_environment() -> None:
    """In that order; a password stays where it is."""
    spec = ImageSpec("x").with_packages("a", index_url="https://step.test/simple")
    named = 'packages = [{ name = "A", version = "1.0", index = "https://lock.test" }]'
    variables = {"UV_INDEX_URL": "https://me:secret@env.test/simple?a=b"}
    with_name = {"UV_DEFAULT_INDEX": "private.one=https://me@env.test/simple"}

    def index(text: str, step: int, variables: dict[str, str] = variables) -> str:
        lock = Lock(python="3.11", platform=AMD64, wheels=(), text=text)
        return Indexes(spec, lock, variables).of(wheel("a.whl", step=step))

    assert index(named, 0) == "https://lock.test"
    assert index("", 0) == "https://step.test/simple"
    assert index("", 1) == "https://env.test/simple?a=b"
    assert index("", 1, with_name) == "https://env.test/simple"


async def test_uv_tells_its_default_index() -> None:
    """Its cache is arranged by index, so wheels must be asked for under the same."""
    told = await default_index(find_uv_bin(), {})
    assert told.startswith("https://")
    lock = Lock(python="3.11", platform=AMD64, wheels=(), text="")
    indexes = Indexes(ImageSpec("x").with_packages("a"), lock, {}, default=told)
    assert indexes.of(wheel("a.whl", step=0)) == told
    assert await default_index("/bin/true", {}) == ""


def test_a_lock_names_index_and_digest() -> None:
    """So that uv finds the wheel in its cache, and checks it."""
    text = write_lock([wheel('a"b.whl')], lambda _: "https://index.test")
    assert 'index = "https://index.test"' in text
    assert f'sha256 = "{Digest.of(b"a").hex}"' in text
    assert r"a\"b.whl" in text


def test_uv_keeps_credentials_and_loses_switches() -> None:
    """What steers the network stays, what steers the result goes."""
    kept = uv_environment({
        "HOME": "/h",
        "UV_INDEX_ACME_PASSWORD": "x",
        "UV_CACHE_DIR": "/c",
        "UV_NO_BINARY": "1",
        "PYTHONPATH": "/p",
        "VIRTUAL_ENV": "/v",
    })  # fmt: skip
    assert set(kept) == {"HOME", "UV_INDEX_ACME_PASSWORD", "UV_CACHE_DIR"}
    assert scrubbed("get https://me:secret@host/x") == "get https://host/x"


def test_cache_tags_are_tags() -> None:
    """One per Python and platform."""
    assert cache_tag("3.11", Platform.parse("linux/arm/v7")) == (
        "aw-cache-3.11-linux-arm-v7"
    )


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
