"""What is in an image, as a CycloneDX document (version 1.6) made from its lock.

Format: https://cyclonedx.org/docs/1.6/json/. Nothing in it is random or a time: equal
locks of equal images give equal documents, and so equal digests.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from aweigh.oci import Artifact

if TYPE_CHECKING:
    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.oci import Descriptor, Platform, Reference

__all__ = ["CYCLONEDX", "describe_contents", "write_sbom"]

CYCLONEDX: Final = "application/vnd.cyclonedx+json"
_FILE_NAME: Final = "sbom.cdx.json"
# A commit of a repository, as direct references write it (PEP 508).
_VCS: Final = re.compile(r"[a-z]+\+(?P<address>.+)@[^@]+")


def describe_contents(image: Reference, subject: Descriptor, lock: Lock) -> Artifact:
    """Return the document about one platform's image, ready to be attached.

    Args:
        image: The image's repository.
        subject: The platform's manifest.
        lock: What it installs.
    """
    pinned = image.with_digest(subject.digest)
    return Artifact(
        media_type=CYCLONEDX,
        content=write_sbom(pinned, lock),
        title=_FILE_NAME,
        subject=subject,
    )


def write_sbom(image: Reference, lock: Lock) -> bytes:
    """Write the document about an image that is pinned to its platform's manifest."""
    wheels = {wheel.digest: wheel for wheel in lock.wheels}
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "aweigh"}]},
            "component": _image(image, lock.platform),
        },
        "components": [
            _component(wheel)
            for wheel in sorted(
                wheels.values(), key=lambda one: (one.name, one.version, one.digest)
            )
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _image(image: Reference, platform: Platform) -> dict[str, Any]:
    name = image.repository.rpartition("/")[2]
    # The "oci" type of the package URL specification.
    purl = f"pkg:oci/{name}@{image.digest}?arch={platform.architecture}"
    return {
        "type": "container",
        "bom-ref": str(image),
        "name": image.name,
        "version": str(image.digest),
        "purl": f"{purl}&repository_url={image.name}",
    }


def _component(wheel: LockedWheel) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": str(wheel.digest),
        "name": wheel.name,
    }
    if wheel.version:
        component["version"] = wheel.version
    commit = _VCS.fullmatch(wheel.url)
    if commit is None:
        component["hashes"] = [{"alg": "SHA-256", "content": wheel.digest.hex}]
    if "://" not in wheel.url:
        # A file of the user's own: no index has it, whatever has its name there.
        return component
    version = f"@{quote(wheel.version, safe='')}" if wheel.version else ""
    component["purl"] = f"pkg:pypi/{wheel.name}{version}"
    component["externalReferences"] = [
        {"type": "distribution", "url": _public(wheel.url)}
        if commit is None
        else {"type": "vcs", "url": _public(commit["address"])}
    ]
    return component


def _public(url: str) -> str:
    """Leave out what may be secret in a URL: users, and queries that sign it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()
