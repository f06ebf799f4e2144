"""The resolver and the public package index."""

import asyncio
import tomllib

import pytest

from aweigh.backends.resolver import Uv, UvResolver
from aweigh.errors import ResolveError
from aweigh.image.spec import ImageSpec
from aweigh.settings import environment
from tests.backends.resolver.place import AMD, ARM, Place


def _resolver() -> UvResolver:
    return UvResolver(Uv(environment()), seconds=120)


async def test_platforms_get_different_files(place: Place, spec: ImageSpec) -> None:
    """Numpy for aarch64 and x86_64 is one version in two files with known sizes."""
    wanted = spec.with_packages("numpy==2.1.3", "six")
    arm, amd = await asyncio.gather(
        *(
            _resolver().resolve(place.request(wanted, platform=one))
            for one in (ARM, AMD)
        )
    )
    assert [one.name for one in arm.wheels] == ["numpy", "six"]
    first, second = arm.wheels[0], amd.wheels[0]
    assert first.version == second.version == "2.1.3"
    assert first.digest != second.digest
    assert "aarch64" in first.filename
    assert "x86_64" in second.filename
    assert (first.size or 0) > 10_000_000
    assert arm.wheels[1] == amd.wheels[1]
    assert all(one.url.startswith("https://") for one in arm.wheels)
    assert len(tomllib.loads(arm.text)["packages"]) == 2


async def test_a_url_is_pinned_with_its_digest(place: Place, spec: ImageSpec) -> None:
    """A requirement that is a URL has the digest of what is there."""
    (plain,) = (
        await _resolver().resolve(place.request(spec.with_packages("six==1.16.0")))
    ).wheels
    wanted = spec.with_packages(f"six @ {plain.url}")
    (found,) = (await _resolver().resolve(place.request(wanted))).wheels
    assert (found.digest, found.filename) == (plain.digest, plain.filename)


async def test_versions_that_were_never_released(place: Place, spec: ImageSpec) -> None:
    """The requirement is named as it was written."""
    with pytest.raises(ResolveError, match=r"no version fits \(six==99\)") as caught:
        await _resolver().resolve(place.request(spec.with_packages("six==99")))
    assert caught.value.requirement == "six==99"
