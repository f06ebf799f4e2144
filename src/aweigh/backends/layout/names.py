"""What an image layout has names for: its ``index.json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aweigh.backends.layout.faults import damaged, disk_faults
from aweigh.backends.layout.files import flush_directory, write_file
from aweigh.errors import InvalidManifestError
from aweigh.oci import Descriptor
from aweigh.oci.descriptor import require
from aweigh.oci.layout import INDEX_FILE, REF_NAME_ANNOTATION
from aweigh.oci.manifest import OCI_INDEX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["find_name", "put_names"]


def find_name(root: Path, name: str) -> Descriptor | None:
    """Return what a name points at, or None when the layout has no such name.

    Raises:
        LayoutError: The index cannot be read, or is damaged.
    """
    found = [entry for entry in _entries(_load(root), root) if _name(entry) == name]
    if not found:
        return None
    try:
        return Descriptor.from_json(found[-1], where=f"{INDEX_FILE}: {name}")
    except InvalidManifestError as error:
        raise damaged(root, str(error)) from error


def put_names(root: Path, named: Mapping[str, Descriptor], *, workshop: Path) -> None:
    """Let names point at content, in place of what they pointed at; others stay.

    Whoever calls this holds the layout's lock: two at once would lose one's names.
    What other tools wrote into the index is kept as it is.

    Raises:
        LayoutError: The index is damaged, or cannot be written.
    """
    document = _load(root)
    kept = [entry for entry in _entries(document, root) if _name(entry) not in named]
    added = [
        descriptor.to_json() | {"annotations": {REF_NAME_ANNOTATION: name}}
        for name, descriptor in named.items()
    ]
    document["manifests"] = kept + added
    content = json.dumps(document, indent=1).encode()
    with disk_faults(root, "write the index"):
        write_file(root / INDEX_FILE, content, workshop=workshop)
        flush_directory(root)


def _load(root: Path) -> dict[str, Any]:
    path = root / INDEX_FILE
    with disk_faults(root, "read the index"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    try:
        return require(json.loads(content), dict, where=INDEX_FILE)
    except (ValueError, RecursionError) as error:
        raise damaged(root, f"{INDEX_FILE} is no JSON object") from error


def _entries(document: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    try:
        entries = require(document.get("manifests"), list, where="manifests")
        return [require(entry, dict, where="manifests") for entry in entries]
    except InvalidManifestError as error:
        raise damaged(root, f"{INDEX_FILE}: {error}") from error


def _name(entry: dict[str, Any]) -> object:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return None
    return annotations.get(REF_NAME_ANNOTATION)
