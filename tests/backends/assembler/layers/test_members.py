"""What was unpacked, as the members of a layer."""

from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.backends.assembler.layers.members import in_directories, staged_members
from aweigh.errors import (
    SpecError,
)


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
