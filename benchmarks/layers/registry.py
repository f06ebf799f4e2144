"""What reached the registry: its own access log, and skopeo as the witness."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services import Services

__all__ = ["Pushed", "Watch", "forget", "inspect"]

_LINE: Final = re.compile(r'"(\S+) (\S+) HTTP/[\d.]+" (\d+) ')
_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was sent to a repository.

    Attributes:
        blobs: How many blobs were uploaded; mounted ones and those it had do not count.
        size: Bytes of them and of the manifests.
    """

    blobs: int
    size: int


class Watch:
    """Reads what the open registry logs about one repository, from now on."""

    def __init__(self, services: Services, repository: str) -> None:
        """Begin here; the repository is named without the registry."""
        self._services = services
        self._repository = repository
        self._offset = services.registry_log.stat().st_size

    def pushed(self) -> Pushed:
        """Return what was uploaded since the beginning."""
        blobs, manifests = set(), []
        prefix = f"/v2/{self._repository}/"
        for method, url, status in self._requests():
            if status != "201" or not url.startswith(prefix):
                continue
            path, _, query = url.removeprefix(prefix).partition("?")
            if path.startswith("blobs/uploads/") and method in ("PUT", "POST"):
                # A mount answers 201 as well, and moves nothing.
                blobs |= set(re.findall(r"(?:^|&)digest=(sha256:\w+)", unquote(query)))
            elif method == "PUT":
                manifests.append(path)
        sizes = [self._size(f"{prefix}blobs/{digest}") for digest in blobs]
        sizes += [self._size(f"{prefix}{path}") for path in manifests]
        return Pushed(len(blobs), sum(sizes))

    def _requests(self) -> Iterator[tuple[str, str, str]]:
        """Read up to a request of our own: all before it is in the log by then."""
        mark = f"/bench-mark-{uuid.uuid4().hex}"
        self._ask("HEAD", mark)
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with self._services.registry_log.open("rb") as file:
                file.seek(self._offset)
                text = file.read().decode()
            if mark in text:
                for line in text.splitlines():
                    if match := _LINE.search(line):
                        yield match[1], match[2], match[3]
                return
            time.sleep(0.01)
        raise TimeoutError(f"{self._services.registry_log} is not written")

    def _size(self, path: str) -> int:
        return int(self._ask("HEAD", path) or 0)

    def _ask(self, method: str, path: str) -> str | None:
        connection = HTTPConnection(self._services.registry, timeout=_SECONDS)
        try:
            connection.request(method, path, headers={"Accept": ", ".join(_TYPES)})
            answer = connection.getresponse()
            answer.read()
            return answer.headers["Content-Length"]
        finally:
            connection.close()


def inspect(image: str) -> int:
    """Have skopeo read the manifest and config of a pushed digest; count its layers."""
    skopeo = ["skopeo", "inspect", "--tls-verify=false", f"docker://{image}"]
    said = subprocess.run(skopeo, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(said.stdout)
    return len(found["Layers"])


def forget(services: Services, folder: str) -> None:
    """Remove repositories of ours below a folder, and the blobs nobody else can have.

    Needs the right to write the registry's storage; without it they stay. Only layers
    that an engine made are removed: ours are the same bytes each time, so the storage
    keeps them once, and tests may have them too.
    """
    root = services.registry_data / "docker/registry/v2"
    for layers in (root / "repositories" / folder).glob("*-[abc]-*/_layers/sha256"):
        for link in layers.iterdir():
            if not _is_base(root, services, link.name):
                blob = root / "blobs/sha256" / link.name[:2] / link.name
                shutil.rmtree(blob, ignore_errors=True)
    shutil.rmtree(root / "repositories" / folder, ignore_errors=True)


def _is_base(root: Path, services: Services, digest: str) -> bool:
    repository = services.base.partition("/")[2].partition(":")[0]
    return (root / "repositories" / repository / "_layers/sha256" / digest).exists()
