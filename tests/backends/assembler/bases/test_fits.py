"""Which wheels can run on a base."""

from dataclasses import replace

import pytest

from aweigh.backends.assembler.bases.base import BaseFacts
from aweigh.backends.assembler.bases.fits import refuse_misfits
from aweigh.errors import (
    NeedsEngineError,
    SpecError,
)
from tests.backends.assembler.support import AMD64, ARM64, wheel

FACTS = BaseFacts(
    python="3.11", interpreter="/usr/bin/python3.11", libc="manylinux_2_36"
)

MUSL = BaseFacts(python="3.11", interpreter="/usr/bin/python3", libc="musllinux_1_2")


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
