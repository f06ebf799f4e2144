"""CUDA torch, four gigabytes of wheels, planned from metadata alone."""

from pathlib import Path

import pytest

from aweigh import ImageSpec, Settings, open_session
from tests.services import Services

# What pip would install besides torch itself; each is large and changes with its own
# releases.
EXPECTED = {"torch", "triton"}
MOST_LAYERS = 40
GIGABYTE = 1_000_000_000
MOST_METADATA = 100_000_000


@pytest.mark.packages
@pytest.mark.timeout(600)
async def test_cuda_torch_is_planned_without_a_download(
    services: Services, own_registry: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each large wheel is named as a layer; neither wheels nor blobs are moved."""
    wheels = place / "uv"
    monkeypatch.setenv("UV_CACHE_DIR", str(wheels))
    settings = Settings(
        registry=f"{own_registry}/packages",
        engine=f"unix://{place}/no.sock",
        builder="assemble",
        cache_dir=place / "cache",
        data_dir=place / "data",
    )
    spec = ImageSpec("cuda", base=services.base).with_packages("torch")
    async with open_session(settings) as session:
        plan = await session.explain(spec.with_platforms("linux/amd64"))
    (image,) = plan.image.plans
    assert (image.failure, image.builder) == ("", "assemble")
    heavy = [layer for layer in image.layers if layer.kind == "heavy"]
    for layer in heavy:
        print(f"{layer.name}: {(layer.size or 0) / 1e6:.0f} MB")
        assert [package.name for package in layer.packages] == [layer.name]
    names = {layer.name for layer in heavy}
    assert names >= EXPECTED
    assert any(name.startswith("nvidia-cudnn") for name in names)
    assert any(name.startswith("nvidia-cublas") for name in names)
    python = [one for one in image.layers if one.kind in {"heavy", "light"}]
    assert len(heavy) < len(python) < MOST_LAYERS
    assert image.totals is not None
    assert image.totals.push > 2 * GIGABYTE
    assert sum(path.stat().st_size for path in files(wheels)) < MOST_METADATA
    assert files(place / "registry") == []


def files(directory: Path) -> list[Path]:
    """List the files below a directory that need not exist."""
    return [path for path in directory.rglob("*") if path.is_file()]
