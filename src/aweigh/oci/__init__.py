"""Values of the OCI specifications, with nothing but the standard library."""

from aweigh.oci.artifact import Artifact
from aweigh.oci.descriptor import Descriptor
from aweigh.oci.digest import Digest
from aweigh.oci.manifest import Index, Manifest, describe, parse_manifest
from aweigh.oci.platform import Platform
from aweigh.oci.reference import Reference

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
