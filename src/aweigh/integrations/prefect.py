"""Prefect deployments on what aweigh prepared: an image by digest, code from a bundle.

Pass `BundleStorage` where Prefect takes a source, and `job_variables` where it takes
those: Prefect then builds nothing and pushes nothing. Nothing here imports Prefect, so
workers need no more than aweigh and their own Prefect.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aweigh.bundle.bundle import BundleUri
from aweigh.errors import SpecError
from aweigh.flow.prepare import Ready
from aweigh.shared import fetch_bundle

if TYPE_CHECKING:
    from aweigh.bundle.bundle import Bundle
    from aweigh.image.image import Image

__all__ = ["BundleStorage", "fetch", "job_variables"]

_STEP = "aweigh.integrations.prefect.fetch"
_SHORT = 12


class BundleStorage:
    """A bundle as the source of a flow, for ``flow.from_source``.

    Prefect's ``RunnerStorage`` protocol. Workers fetch exactly this bundle, whatever
    happens to the directory it came from.

    Args:
        bundle: What `aweigh.upload_bundle` returned, or its URI.
    """

    def __init__(self, bundle: Bundle | str) -> None:
        uri = bundle if isinstance(bundle, str) else bundle.uri
        self._uri = BundleUri.parse(uri)
        self._base = Path.cwd()

    def set_base_path(self, path: Path) -> None:
        """Say below which directory the code is to be fetched."""
        self._base = path

    @property
    def pull_interval(self) -> int | None:
        """None: a bundle never changes."""
        return None

    @property
    def destination(self) -> Path:
        """Where `pull_code` puts the files."""
        return self._base / _folder(self._uri)

    async def pull_code(self) -> None:
        """Fetch the bundle, every file verified; nothing happens when it is there.

        Raises:
            StoreError: The store does not hold it, refused, or did not answer.
        """
        await fetch_bundle(str(self._uri), self.destination)

    def to_pull_step(self) -> dict[str, dict[str, Any]]:
        """Return the step with which Prefect's workers get the code."""
        return {_STEP: {"requires": "aweigh", "uri": str(self._uri)}}


async def fetch(uri: str, destination: str | None = None) -> dict[str, str]:
    """Fetch a bundle; a pull step of Prefect, which then works in its directory.

    Args:
        uri: The bundle.
        destination: Where the files go; a directory named by the bundle, below the
            worker's own, when None.

    Returns:
        ``directory``, as Prefect wants it of the last pull step.

    Raises:
        StoreError: The store does not hold it, refused, or did not answer.
    """
    place = Path(destination or _folder(BundleUri.parse(uri)))
    return {"directory": str((await fetch_bundle(uri, place)).absolute())}


def job_variables(image: Image | Ready, **others: Any) -> dict[str, Any]:
    """Return job variables that run flows in an image, by its digest.

    Prefect's own ``image=`` argument takes tags apart and cannot be given a digest.

    Args:
        image: What `aweigh.ensure_image` or `aweigh.prepare` returned.
        **others: More job variables, such as ``env``.

    Raises:
        SpecError: The image is in no registry, so that workers could not pull it.
    """
    found = image.image if isinstance(image, Ready) else image
    if found.location != "registry":
        raise SpecError(
            f"the image {found} is on this machine only: Prefect's workers pull images",
            hint="set registry to one that the workers can reach",
        )
    return {**others, "image": str(found)}


def _folder(uri: BundleUri) -> str:
    return f"bundle-{uri.digest.hex[:_SHORT]}"
