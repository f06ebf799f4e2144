"""Which wheels a target can use, and which of them it prefers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.resolver.target import Target
from aweigh.oci import Platform

ARM = Target(Platform("linux", "arm64"), "3.12", "manylinux_2_36")
AMD = Target(Platform("linux", "amd64"), "3.12", "manylinux_2_36")
MUSL = Target(Platform("linux", "amd64"), "3.12", "musllinux_1_2")
# From the best to the worst, as pip and uv order them.
ORDER = (
    "cp312-cp312-manylinux_2_36_x86_64",
    "cp312-cp312-manylinux_2_17_x86_64",
    "cp312-cp312-manylinux2014_x86_64",
    "cp312-cp312-manylinux1_x86_64",
    "cp312-cp312-linux_x86_64",
    "cp312-abi3-manylinux_2_17_x86_64",
    "cp312-none-manylinux_2_17_x86_64",
    "cp311-abi3-manylinux_2_17_x86_64",
    "cp39-abi3-manylinux_2_34_x86_64",
    "py312-none-manylinux_2_17_x86_64",
    "py3-none-manylinux_2_17_x86_64",
    "cp312-none-any",
    "py312-none-any",
    "py3-none-any",
    "py2.py30-none-any",
)
UNUSABLE = (
    "cp312-cp312-manylinux_2_37_x86_64",
    "cp312-cp312-manylinux_2_17_aarch64",
    "cp312-cp312-musllinux_1_2_x86_64",
    "cp312-cp312-win_amd64",
    "cp313-cp313-manylinux_2_17_x86_64",
    "cp313-abi3-manylinux_2_17_x86_64",
    "cp312-cp312t-manylinux_2_17_x86_64",
    "pp310-pypy310_pp73-manylinux_2_17_x86_64",
    "py2-none-any",
)


@given(st.sets(st.sampled_from((*ORDER, *UNUSABLE))))
def test_the_best_usable_wheel_is_chosen(tags: set[str]) -> None:
    """Whatever lies beside it, the first of the order wins."""
    names = [f"x-1.0-{tag}.whl" for tag in tags]
    wanted = next((f"x-1.0-{tag}.whl" for tag in ORDER if tag in tags), None)
    assert AMD.best(names) == wanted


def test_higher_builds_win() -> None:
    """A build number decides between equal tags, as a number."""
    names = [f"x-1.0{build}-py3-none-any.whl" for build in ("", "-2", "-10")]
    assert AMD.best(names) == "x-1.0-10-py3-none-any.whl"


def test_other_files_are_no_wheels() -> None:
    """What is not named like one is not usable."""
    assert AMD.best(["x-1.0.tar.gz", "x.whl", ""]) is None


@pytest.mark.parametrize(
    ("libc", "triple"),
    [
        ("manylinux_2_17", "aarch64-manylinux_2_17"),
        ("manylinux_2_27", "aarch64-manylinux_2_17"),
        ("manylinux_2_36", "aarch64-manylinux_2_36"),
        ("manylinux_2_55", "aarch64-manylinux_2_40"),
        ("musllinux_1_2", "aarch64-unknown-linux-musl"),
    ],
)
def test_uv_never_resolves_for_a_newer_libc(libc: str, triple: str) -> None:
    """The platform is the newest that uv knows and the target has."""
    assert ARM._replace(libc=libc).triple == triple


def test_musl_takes_no_glibc_wheels() -> None:
    """And older musl ones, but not newer ones."""
    names = [
        "x-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
        "x-1.0-cp312-cp312-musllinux_1_3_x86_64.whl",
        "x-1.0-cp312-cp312-musllinux_1_1_x86_64.whl",
    ]
    assert MUSL.best(names) == names[2]
