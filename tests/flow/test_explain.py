"""Explaining asks for layers only where somebody can know them."""

from pathlib import Path

import pytest

from aweigh.errors import AweighError, RegistryError
from aweigh.flow.explain import ImagePlan, explain
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.image.image import Location
from aweigh.image.job import Job
from aweigh.image.preview import PlatformPlan
from aweigh.oci import Descriptor, Digest, Platform
from aweigh.oci.manifest import OCI_INDEX
from aweigh.testing import DictMemory
from tests.image.test_ensure import SPEC, Bench

DIGEST = Digest.of(b"index")
AMD64 = Platform.parse("linux/amd64")
THERE = Present(
    Descriptor(media_type=OCI_INDEX, digest=DIGEST, size=1), frozenset({AMD64})
)


class Layers:
    """Knows the layers of every image, and keeps what it was asked."""

    def __init__(self, error: AweighError | None = None) -> None:
        self.asked: list[tuple[Location, Digest | None]] = []
        self._error = error
        self._location: Location = "registry"

    async def open(self, location: Location, /) -> "Layers":
        """Be opened."""
        self._location = location
        if self._error is not None:
            raise self._error
        return self

    async def explain(
        self, job: Job, digest: Digest | None, /
    ) -> tuple[PlatformPlan, ...]:
        """Tell that each platform is there if the image is."""
        self.asked.append((self._location, digest))
        return tuple(
            PlatformPlan(platform=platform, exists=digest is not None)
            for platform in job.platforms
        )


async def explained(
    root: Path,
    verdict: Verdict,
    layers: Layers | None,
    registry: str | None = "r.example/acme",
) -> ImagePlan:
    """Explain an image of which the holder says this."""
    bench = Bench(root, verdict, registry=registry)
    plan = await explain(
        bench.ensurer,
        None,  # type: ignore[arg-type]  # without a directory nobody asks it
        DictMemory(),
        spec=SPEC,
        root=root,
        platforms=[str(AMD64)],
        directory=None,
        size_limit=1,
        layers=None if layers is None else layers.open,
    )
    assert plan.bundle is None
    assert bench.memory.writes == []
    assert bench.builder.requests == []
    return plan.image


@pytest.mark.parametrize(
    ("verdict", "digest"), [(THERE, DIGEST), (Absent("404"), None)]
)
async def test_layers_are_asked_for_by_what_exists(
    tmp_path: Path, verdict: Verdict, digest: Digest | None
) -> None:
    """Who tells of layers hears whether there is an image, and which."""
    layers = Layers()
    image = await explained(tmp_path, verdict, layers)
    assert layers.asked == [("registry", digest)]
    assert [one.exists for one in image.plans] == [image.exists]


async def test_nobody_asks_for_layers(tmp_path: Path) -> None:
    """Without somebody to ask there are none, and no reason either."""
    assert (await explained(tmp_path, THERE, None)).plans == ()


async def test_undecided_registries_are_not_asked_again(tmp_path: Path) -> None:
    """Where nobody knows what is there, nobody knows what would be made."""
    layers = Layers()
    image = await explained(tmp_path, Unknown("503"), layers)
    assert (image.tier, layers.asked) == ("undecided", [])
    assert "nobody can say" in image.plans[0].note
    local = await explained(tmp_path, Unknown("no engine"), layers, registry=None)
    assert (local.tier, layers.asked) == ("undecided", [("engine", None)])


async def test_what_cannot_be_opened_is_a_note(tmp_path: Path) -> None:
    """An error in finding out is no error of explain."""
    error = RegistryError("no route", hint="wait", registry="r.example")
    image = await explained(tmp_path, Absent("404"), Layers(error))
    assert (image.tier, image.exists) == ("build", False)
    assert image.plans[0].note == "layers are not known: no route"
