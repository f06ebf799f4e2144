"""Requirements for projects of this machine: how they are written and read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import SpecError
from aweigh.image.files import take_snapshot
from aweigh.image.local_requirement import LocalRequirement
from aweigh.image.spec import ImageSpec
from tests.image.trees import make_tree

SPEC = ImageSpec("t")


@pytest.mark.parametrize(
    ("text", "path", "extras", "marker"),
    [
        (".", ".", "", ""),
        ("./libs/mine", "./libs/mine", "", ""),
        ("../mine[b, a]", "../mine", "[a,b]", ""),
        ("/srv/mine ; os_name == 'posix'", "/srv/mine", "", "os_name == 'posix'"),
        ("mine @ ./my libs/x.tar.gz", "./my libs/x.tar.gz", "", ""),
        ("mine[gpu]@file:///srv/a%20b;python_version>'3'", "/srv/a b", "[gpu]",
         "python_version>'3'"),
        ("FILE:./x[]", "./x", "", ""),
    ],
)  # fmt: skip
def test_what_starts_like_a_path_is_one(
    text: str, path: str, extras: str, marker: str
) -> None:
    """With a name before it or without, with extras and a marker."""
    assert LocalRequirement.parse(text) == LocalRequirement(path, extras, marker)


@pytest.mark.parametrize(
    "text",
    [
        "mine",
        "mine[a]>=1",
        "mine @ https://h.example/x.whl",
        "libs/mine",
        "...x",
        "-e .",
    ],
)
def test_other_requirements_are_none(text: str) -> None:
    """They are somebody else's to read."""
    assert LocalRequirement.parse(text) is None


@given(
    path=st.from_regex(r"\.\.?(/[a-z0-9 _.-]{1,8}[a-z])*", fullmatch=True),
    extras=st.sets(st.from_regex(r"[a-z]{1,4}", fullmatch=True)),
    marker=st.sampled_from(["", "os_name == 'posix'"]),
)
def test_what_is_written_is_read_again(
    path: str, extras: set[str], marker: str
) -> None:
    """Moving a requirement keeps its extras and its marker."""
    listed = f"[{','.join(sorted(extras))}]" if extras else ""
    one = LocalRequirement(path, listed, marker)
    assert LocalRequirement.parse(one.at(path)) == one


@pytest.mark.parametrize("text", ["file://host/x", "file:///x?a", "file:///x#b"])
def test_urls_that_are_no_path(text: str) -> None:
    """A host, a query or a fragment would be lost."""
    with pytest.raises(SpecError, match="no path of this machine"):
        LocalRequirement.parse(text)


def test_directories_and_files_come_along(tmp_path: Path) -> None:
    """In the order in which they are named; where they lie is no part of the digest."""
    tree = {"mine/pyproject.toml": "", "mine/mine.py": "", "own-1.tar.gz": "x"}
    make_tree(tmp_path, tree)
    make_tree(tmp_path / "elsewhere", tree)
    spec = SPEC.with_packages("six", "./mine[a]", "./own-1.tar.gz")

    snapshot = take_snapshot(spec, tmp_path)

    assert [member.path for member in snapshot.members] == [
        "steps/0/local/0/tree",
        "steps/0/local/0/tree/mine.py",
        "steps/0/local/0/tree/pyproject.toml",
        "steps/0/local/1/own-1.tar.gz",
    ]
    moved = SPEC.with_packages(
        "six", f"{tmp_path}/elsewhere/mine[a]", "./elsewhere/own-1.tar.gz"
    )
    assert take_snapshot(moved, tmp_path).digest == snapshot.digest
    other = SPEC.with_packages("six", "./mine[b]", "./own-1.tar.gz")
    assert take_snapshot(other, tmp_path).digest != snapshot.digest
    make_tree(tmp_path, {"mine/mine.py": "changed"})
    assert take_snapshot(spec, tmp_path).digest != snapshot.digest


@pytest.mark.parametrize(
    ("text", "told"),
    [("./empty", "no Python project"), ("./none", "neither"), ("./x.whl", "x.whl"),
     ("./notes.txt", "neither")],
)  # fmt: skip
def test_what_is_no_package(tmp_path: Path, text: str, told: str) -> None:
    """It is named, with the step that wants it."""
    make_tree(tmp_path, {"empty/x.py": "", "notes.txt": ""})
    with pytest.raises(SpecError, match=f"packages step 0.*{told}") as caught:
        take_snapshot(SPEC.with_packages(text), tmp_path)
    assert caught.value.hint
