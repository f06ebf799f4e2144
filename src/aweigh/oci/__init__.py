"""Values of the OCI specifications, with nothing but the standard library."""

from typing import TYPE_CHECKING

from aweigh.oci.descriptor import Descriptor
from aweigh.oci.digest import Digest
from aweigh.oci.platform import Platform
from aweigh.oci.reference import Reference

if TYPE_CHECKING:
    from aweigh.oci.artifact import Artifact
    from aweigh.oci.manifest import Index, Manifest, describe, parse_manifest

__all__ = [
    "Artifact",
    "Descriptor",
    "Digest",
    "Index",
    "Manifest",
    "Platform",
    "Reference",
    "describe",
    "parse_manifest",
]

# Imported when first asked for: an answer from memory has names, and no documents.
_WHERE = {
    "Artifact": "aweigh.oci.artifact",
    "Index": "aweigh.oci.manifest",
    "Manifest": "aweigh.oci.manifest",
    "describe": "aweigh.oci.manifest",
    "parse_manifest": "aweigh.oci.manifest",
}

if not TYPE_CHECKING:  # checkers know the names from above, and no others

    def __getattr__(name: str) -> object:
        """Import a value."""
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(_WHERE[name], fromlist=[name])
        value = globals()[name] = getattr(module, name)
        return value

    def __dir__() -> list[str]:
        """List all values, imported or not."""
        return sorted({*globals(), *_WHERE})
