"""Platforms: many spellings, one value."""

import platform as host

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import InvalidPlatformError
from aweigh.oci import Platform

SPELLINGS = """
linux Windows unknown amd64 x86_64 aarch64 arm64 arm armhf armel riscv64
v8 8 v7 7 v6 6 v1 v3
"""
WORDS = st.sampled_from(SPELLINGS.split())


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("Linux/X86_64", "linux/amd64"),
        ("linux/x86-64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("linux/armv7l", "linux/arm/v7"),
        ("linux/armv6l", "linux/arm/v6"),
        ("linux/i686", "linux/386"),
        ("linux/riscv64", "linux/riscv64"),
        ("windows/amd64", "windows/amd64"),
        ("unknown/unknown", "unknown/unknown"),
    ],
)
def test_spellings(text: str, normal: str) -> None:
    """People's, uname's and Go's words become the words containerd normalises to."""
    assert str(Platform.parse(text)) == normal
    assert Platform.parse(text) == Platform.parse(normal)


@given(os=WORDS, architecture=WORDS, variant=WORDS | st.just(""))
def test_normal_form_is_final(os: str, architecture: str, variant: str) -> None:
    """Normalising twice is normalising once, from parts as from text."""
    platform = Platform.of(os, architecture, variant)
    assert Platform.of(platform.os, platform.architecture, platform.variant) == platform
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    "text",
    [
        "",
        "linux",
        "linux/",
        "/amd64",
        "linux/a/b/c",
        "linux/amd64/",
        "linux/am d64",
        "linux/amd64\n",
        "linux,amd64",
        "linux/\u00e4",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """Two or three words with slashes between them, and nothing else."""
    with pytest.raises(InvalidPlatformError, match="is not a platform"):
        Platform.parse(text)


def test_host_is_a_linux_platform() -> None:
    """This machine's images are Linux images for its own processor."""
    assert Platform.host() == Platform.parse(f"linux/{host.machine()}")
