"""Artifacts: manifests that say what they are about."""

import json
from types import MappingProxyType

from aweigh.oci import Artifact, Digest, Platform, describe
from aweigh.oci.artifact import EMPTY, EMPTY_CONTENT
from aweigh.oci.descriptor import Descriptor
from aweigh.oci.manifest import OCI_MANIFEST

SUBJECT = Descriptor(
    media_type=OCI_MANIFEST,
    digest=Digest.of(b"image"),
    size=5,
    platform=Platform.parse("linux/amd64"),
    annotations=MappingProxyType({"a": "b"}),
)
ARTIFACT = Artifact(
    media_type="text/x", content=b"hi", title="a.txt", subject=SUBJECT,
    annotations=MappingProxyType({"z": "1", "b": "2"}),
)  # fmt: skip


def test_the_empty_config_is_the_specs() -> None:
    """Its digest is written in the specification."""
    assert str(EMPTY.digest) == (
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )
    assert EMPTY.size == len(EMPTY_CONTENT) == 2


def test_its_manifest_points_at_subject_and_document() -> None:
    """The subject is named without what only an index says of it."""
    assert json.loads(ARTIFACT.to_bytes()) == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "text/x",
        "config": EMPTY.to_json(),
        "layers": [
            {
                "mediaType": "text/x",
                "digest": str(Digest.of(b"hi")),
                "size": 2,
                "annotations": {"org.opencontainers.image.title": "a.txt"},
            }
        ],
        "subject": {
            "mediaType": OCI_MANIFEST,
            "digest": str(SUBJECT.digest),
            "size": 5,
        },
        "annotations": {"b": "2", "z": "1"},
    }


def test_lists_repeat_type_and_annotations() -> None:
    """So that readers can choose without reading each one."""
    entry = ARTIFACT.entry
    plain = describe(ARTIFACT.to_bytes(), OCI_MANIFEST)
    assert (entry.digest, entry.size) == (plain.digest, plain.size)
    assert entry.to_json()["artifactType"] == "text/x"
    assert entry.to_json()["annotations"] == {"b": "2", "z": "1"}
