"""The sets of packages that assembled images are validated with."""

from dataclasses import dataclass
from pathlib import Path

from aweigh import ImageSpec
from tests.services import setting

CPU_INDEX = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True, slots=True)
class PackageSet:
    """Packages that are installed together.

    Attributes:
        name: A word for the set.
        requirements: What is asked for.
        quick: Whether it is small enough for every run of the tests.
        cpu: Whether torch is to be the one for machines without a GPU. It is not on
            PyPI: a directory of wheels that ``AWEIGH_FIND_LINKS`` names, or else
            torch's own index, has it.
    """

    name: str
    requirements: tuple[str, ...]
    quick: bool = False
    cpu: bool = False

    def spec(self, base: str) -> ImageSpec:
        """Describe an image of the set."""
        spec = ImageSpec(self.name, base=base)
        if not self.cpu:
            return spec.with_packages(*self.requirements)
        if self.directory is None:
            return spec.with_packages(*self.requirements, extra_index_urls=[CPU_INDEX])
        exact = [f"torch=={_version('torch', self.directory)}"]
        links = [str(self.directory)]
        return spec.with_packages(*exact, *self.requirements, find_links=links)

    @property
    def directory(self) -> Path | None:
        """Where further wheels are, or None."""
        told = setting("AWEIGH_FIND_LINKS") if self.cpu else ""
        return Path(told).absolute() if told else None


def _version(name: str, directory: Path) -> str:
    """Return which release of a project a directory has."""
    found = next(directory.glob(f"{name}-*.whl"), None)
    assert found is not None, f"no wheel of {name} in {directory}"
    return found.name.split("-")[1]


SETS = (
    PackageSet("tools", ("setuptools", "wheel", "black", "ruff"), quick=True),
    PackageSet("django", ("django", "psycopg[binary]"), quick=True),
    PackageSet("web", ("fastapi", "uvicorn", "sqlalchemy[asyncio]")),
    PackageSet("google", ("google-cloud-storage", "protobuf")),
    PackageSet("frames", ("polars", "duckdb")),
    PackageSet("vision", ("opencv-python-headless", "pillow")),
    PackageSet("numeric", ("numpy", "pandas", "scikit-learn", "pyarrow")),
    PackageSet("notebook", ("scipy", "matplotlib", "jupyterlab")),
    PackageSet("torch", ("torch", "transformers"), cpu=True),
    PackageSet("tensorflow", ("tensorflow-cpu",)),
)
