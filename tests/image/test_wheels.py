"""First-party wheels: found, named, chosen."""

from pathlib import Path

import pytest

from aweigh.errors import SpecError
from aweigh.image.sources import Sources
from aweigh.image.steps import WheelStep
from aweigh.image.wheels import choose_wheels, distribution, read_wheels
from aweigh.oci import Platform
from tests.image.trees import make_tree, make_wheel


def found(root: Path, *globs: str) -> list[str]:
    """Return the paths of the wheels that globs match."""
    sources = Sources(root, step="wheel step 0", prefix="steps/0")
    return [member.path for member in read_wheels(WheelStep(globs), sources)]


def test_globs_are_sorted_and_single(tmp_path: Path) -> None:
    """Whatever the order on disk and however often matched, each is there once."""
    for name in ("b", "a", "c"):
        make_wheel(tmp_path / "dist", name)
    assert found(tmp_path, "dist/*.whl", f"{tmp_path}/**/a-*.whl") == [
        f"steps/0/wheels/{name}-1.0-py3-none-any.whl" for name in "abc"
    ]


@pytest.mark.parametrize("globs", [("gone/*.whl",), ("dist/*",), ("*/same*.whl",)])
def test_refused(tmp_path: Path, globs: tuple[str, ...]) -> None:
    """No match, no wheel, and two files of one name are errors."""
    make_tree(tmp_path, {"dist/notes.txt": ""})
    make_wheel(tmp_path / "a", "same", value=1)
    make_wheel(tmp_path / "b", "same", value=2)
    with pytest.raises(SpecError, match="wheel step 0") as caught:
        found(tmp_path, *globs)
    assert caught.value.hint


def test_distribution() -> None:
    """Names compare as indexes compare them."""
    assert distribution("Foo_Bar-1.0-py3-none-any.whl") == "foo-bar"


@pytest.mark.parametrize(
    ("platform", "machine"), [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")]
)
def test_wheels_of_other_machines_are_left_out(platform: str, machine: str) -> None:
    """A directory may hold the wheels of all platforms of the image."""
    names = [
        "wheels/a-1-py3-none-any.whl",
        "wheels/b-1-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "wheels/b-1-cp312-cp312-musllinux_1_2_aarch64.whl",
        "links/readme",
    ]
    chosen = choose_wheels(names, Platform.parse(platform))
    assert len(chosen) == 2
    assert machine in chosen[1]
