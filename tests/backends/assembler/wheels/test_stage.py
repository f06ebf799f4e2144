"""How uv is told what to unpack for."""

import pytest

from aweigh.backends.assembler.wheels.stage import uv_platform
from aweigh.errors import (
    SpecError,
)
from aweigh.oci import Platform


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
