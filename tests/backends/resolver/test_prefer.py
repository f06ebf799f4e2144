"""Which of several earlier locks counts for a package."""

from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.backends.resolver.prefer import preferences
from aweigh.image.files import take_snapshot
from aweigh.image.resolve import ResolveRequest
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform

SPEC = ImageSpec("train", base="b").with_packages("idna")
REQUEST = ResolveRequest(
    spec=SPEC,
    snapshot=take_snapshot(SPEC, Path("/nowhere")),
    platform=Platform.parse("linux/amd64"),
    python="3.11",
    manylinux="manylinux_2_36",
)


def lock(**versions: str) -> str:
    """Write a lock as images hold it."""
    return 'lock-version = "1.0"\n' + "".join(
        f'\n[[packages]]\nname = "{name}"\nversion = "{version}"\n'
        f'wheels = [{{ name = "{name}.whl" }}]\n'
        for name, version in versions.items()
    )


@pytest.mark.parametrize(
    ("previous", "beneath", "upgrade", "expected"),
    [
        (None, None, False, ""),
        (lock(a="1"), None, False, lock(a="1")),
        (lock(a="1"), None, True, ""),
        (None, lock(a="2"), False, lock(a="2")),
        (lock(a="1"), lock(a="2"), True, lock(a="2")),
        (lock(a="1", b="1"), lock(a="2"), False, lock(a="2", b="1")),
        (lock(b="1", a="1", c="1"), lock(a="2"), False, lock(a="2", b="1", c="1")),
    ],
)
def test_the_image_below_comes_first(
    previous: str | None,
    beneath: str | None,
    upgrade: bool,  # noqa: FBT001
    expected: str,
) -> None:
    """It counts even when everything else is to be newest."""
    request = replace(REQUEST, previous=previous, beneath=beneath, upgrade=upgrade)
    assert preferences(request).split() == expected.split()
