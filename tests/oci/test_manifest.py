"""Manifests and indexes: round trips, refusals, and merging platforms."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import InvalidManifestError
from aweigh.oci import (
    Descriptor,
    Digest,
    Index,
    Manifest,
    Platform,
    describe,
    parse_manifest,
)
from aweigh.oci.manifest import (
    ATTESTATION_ANNOTATION,
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)

DIGEST = "sha256:" + "ab" * 32
DESCRIPTOR = {"mediaType": OCI_LAYER_GZIP, "digest": DIGEST, "size": 3}
MANIFEST = {"schemaVersion": 2, "config": DESCRIPTOR, "layers": [DESCRIPTOR]}
INDEX = {"schemaVersion": 2, "manifests": [DESCRIPTOR]}

PLATFORMS = st.sampled_from(
    ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "windows/amd64"]
).map(Platform.parse)
ANNOTATIONS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))


def descriptors(platform: st.SearchStrategy[Platform | None]) -> st.SearchStrategy[Any]:
    """Generate descriptors."""
    return st.builds(
        Descriptor,
        media_type=st.sampled_from([OCI_LAYER_GZIP, OCI_MANIFEST, "x/y"]),
        digest=DIGESTS,
        size=st.integers(0, 2**63),
        platform=platform,
        artifact_type=st.sampled_from(["", "application/vnd.x+json"]),
        annotations=ANNOTATIONS.map(MappingProxyType),
    )


IMAGES = descriptors(PLATFORMS)
ATTESTATIONS = st.builds(
    Descriptor,
    media_type=st.just(OCI_MANIFEST),
    digest=DIGESTS,
    size=st.just(1),
    platform=st.just(Platform("unknown", "unknown")),
    annotations=st.just({ATTESTATION_ANNOTATION: "attestation-manifest"}),
)
ENTRIES = IMAGES | ATTESTATIONS | descriptors(st.none())
MANIFESTS = st.builds(
    Manifest,
    config=descriptors(st.none()),
    layers=st.lists(descriptors(st.none()), max_size=3).map(tuple),
    media_type=st.sampled_from(sorted(MANIFEST_TYPES)),
    annotations=ANNOTATIONS,
)
INDEXES = st.builds(
    Index,
    manifests=st.lists(ENTRIES, max_size=5).map(tuple),
    media_type=st.sampled_from(sorted(INDEX_TYPES)),
    annotations=ANNOTATIONS,
)


@given(document=MANIFESTS | INDEXES)
def test_bytes_mean_the_same_document(document: Manifest | Index) -> None:
    """What is pushed reads back as what was meant, and prints the same again."""
    content = document.to_bytes()
    found = parse_manifest(content, document.media_type)
    assert found == document
    assert found.to_bytes() == content


def test_annotations_are_sorted() -> None:
    """Equal documents give equal bytes, in whichever order they were put together."""
    config = Descriptor(media_type=OCI_CONFIG, digest=Digest.of(b"{}"), size=2)
    one = Manifest(config=config, layers=(), annotations={"a": "1", "b": "2"})
    two = Manifest(config=config, layers=(), annotations={"b": "2", "a": "1"})
    assert one.to_bytes() == two.to_bytes()


def test_describe_names_the_bytes() -> None:
    """A document's descriptor has its media type, digest and length."""
    assert describe(b"{}", OCI_INDEX) == Descriptor(
        media_type=OCI_INDEX, digest=Digest.of(b"{}"), size=2
    )


@pytest.mark.parametrize("media_type", sorted(MANIFEST_TYPES))
def test_a_manifest_may_leave_out_its_media_type(media_type: str) -> None:
    """OCI manifests need not say what they are; null annotations are none."""
    found = parse_manifest(
        json.dumps(MANIFEST | {"annotations": None}).encode(), media_type
    )
    assert isinstance(found, Manifest)
    assert found.layers[0].size == 3
    assert found.annotations == {}


@pytest.mark.parametrize(
    ("document", "media_type", "reason"),
    [
        (INDEX | {"layers": []}, OCI_INDEX, "must not have layers"),
        (INDEX | {"config": None}, OCI_INDEX, "must not have config"),
        (INDEX | {"config": {}, "layers": []}, OCI_INDEX, "config and layers"),
        (MANIFEST | {"manifests": []}, OCI_MANIFEST, "must not have manifests"),
        (MANIFEST | INDEX, DOCKER_MANIFEST, "must not have manifests"),
        (INDEX, OCI_MANIFEST, "must not have manifests"),
        (MANIFEST, OCI_INDEX, "must not have config and layers"),
        (INDEX | {"mediaType": OCI_MANIFEST}, OCI_INDEX, "says"),
        (INDEX | {"mediaType": DOCKER_MANIFEST_LIST}, OCI_INDEX, "says"),
        (MANIFEST | {"mediaType": OCI_INDEX}, OCI_MANIFEST, "says"),
        (MANIFEST | {"mediaType": None}, OCI_MANIFEST, "says"),
        (MANIFEST, "text/html", "neither"),
        (MANIFEST | {"schemaVersion": 1}, OCI_MANIFEST, "schemaVersion is 1"),
        ({}, OCI_INDEX, "schemaVersion is None"),
        ([], OCI_INDEX, "should be dict and is list"),
        (None, OCI_INDEX, "missing"),
        ({"schemaVersion": 2}, OCI_INDEX, "manifests should be list and is missing"),
        ({"schemaVersion": 2}, OCI_MANIFEST, "config should be dict"),
        (INDEX | {"manifests": {}}, OCI_INDEX, "manifests should be list and is dict"),
        (INDEX | {"manifests": [1]}, OCI_INDEX, r"manifests\[0\] should be dict"),
        (INDEX | {"annotations": []}, OCI_INDEX, "annotations should be dict"),
        (INDEX | {"annotations": {"a": 1}}, OCI_INDEX, r"annotations\['a'\]"),
        (INDEX | {"annotations": {"a": None}}, OCI_INDEX, r"annotations\['a'\]"),
    ],
)
def test_ambiguous_documents_are_refused(
    document: object, media_type: str, reason: str
) -> None:
    """A document that could be read in two ways, or not at all, is no answer."""
    with pytest.raises(InvalidManifestError, match=reason):
        parse_manifest(json.dumps(document).encode(), media_type)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": True}, r"manifests\[0\].size is True"),
        ({"size": -1}, r"manifests\[0\].size is -1"),
        ({"size": 1.0}, r"manifests\[0\].size should be int and is float"),
        ({"size": "3"}, r"manifests\[0\].size should be int and is str"),
        ({"size": None}, r"manifests\[0\].size should be int and is missing"),
        ({"mediaType": 1}, r"manifests\[0\].mediaType should be str"),
        ({"digest": None}, r"manifests\[0\].digest should be str"),
        ({"digest": "sha512:00"}, r"manifests\[0\].digest: 'sha512:00'"),
        ({"annotations": ""}, r"manifests\[0\].annotations should be dict"),
        ({"annotations": {"a": False}}, r"manifests\[0\].annotations\['a'\]"),
        ({"platform": "linux"}, r"manifests\[0\].platform should be dict"),
        ({"platform": {"os": "linux"}}, r"manifests\[0\].platform.architecture"),
        ({"platform": {"architecture": "arm"}}, r"manifests\[0\].platform.os"),
        (
            {"platform": {"os": "linux", "architecture": "arm", "variant": 7}},
            r"manifests\[0\].platform.variant should be str",
        ),
    ],
)
def test_damaged_descriptors_are_refused(change: dict[str, Any], reason: str) -> None:
    """The error says which field of which entry is wrong."""
    document = INDEX | {"manifests": [DESCRIPTOR | change]}
    with pytest.raises(InvalidManifestError, match=reason):
        parse_manifest(json.dumps(document).encode(), OCI_INDEX)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xff", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b'{"a":' * 200_000, "no JSON"),
        (b"1" * 5000, "no JSON"),
        (b'{"schemaVersion": 2, "layers": [], "layers": []}', "twice"),
        (b'{"schemaVersion": 2, "manifests": [{"size": 1, "size": 2}]}', "twice"),
    ],
)
def test_no_content_breaks_the_parser(content: bytes, reason: str) -> None:
    """Garbage, deep nesting, huge numbers and doubled names are plain refusals."""
    with pytest.raises(InvalidManifestError, match=reason):
        parse_manifest(content, OCI_INDEX)


@given(content=st.binary(max_size=60) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_refused_in_words(content: bytes) -> None:
    """Nothing but InvalidManifestError comes out of damaged bytes."""
    with pytest.raises(InvalidManifestError):
        parse_manifest(content, OCI_MANIFEST)


def test_platforms_leave_out_attestations() -> None:
    """An index has the platforms of its images; provenance runs nowhere."""
    image = describe(b"image", OCI_MANIFEST)
    index = Index(
        manifests=(
            Descriptor(
                media_type=OCI_MANIFEST,
                digest=image.digest,
                size=1,
                platform=Platform.parse("linux/arm64/v8"),
            ),
            Descriptor(
                media_type=OCI_MANIFEST,
                digest=Digest.of(b"provenance"),
                size=1,
                platform=Platform("unknown", "unknown"),
                annotations={ATTESTATION_ANNOTATION: "attestation-manifest"},
            ),
            image,
        )
    )
    assert index.platforms == {Platform.parse("linux/arm64")}


def image_platforms(entries: tuple[Descriptor, ...]) -> list[Platform]:
    """Return the platforms of images, one for each entry."""
    return [
        entry.platform
        for entry in entries
        if entry.platform and ATTESTATION_ANNOTATION not in entry.annotations
    ]


@given(index=INDEXES, entries=st.lists(ENTRIES, max_size=4))
def test_merging(index: Index, entries: list[Descriptor]) -> None:
    """Merging twice is merging once; it is sorted, and keeps what is not replaced."""
    merged = index.merge(*entries)
    assert merged.merge(*entries) == merged
    assert merged.media_type == OCI_INDEX
    assert merged.annotations == index.annotations
    assert index.platforms | set(image_platforms(tuple(entries))) == merged.platforms
    order = [(str(entry.platform), entry.digest.hex) for entry in merged.manifests]
    assert order == sorted(order)
    new = image_platforms(tuple(entries))
    last = {entry.platform: entry for entry in entries if image_platforms((entry,))}
    for platform, entry in last.items():
        there = [e for e in merged.manifests if image_platforms((e,)) == [platform]]
        assert there == [entry]
    added = {entry.digest for entry in entries}
    for entry in index.manifests:
        if not image_platforms((entry,)):
            assert any(e.digest == entry.digest for e in merged.manifests)
        elif entry.platform not in new and entry.digest not in added:
            assert entry in merged.manifests


@given(index=INDEXES, one=IMAGES, two=IMAGES)
def test_merge_order_matters_only_within_a_platform(
    index: Index, one: Descriptor, two: Descriptor
) -> None:
    """Two machines that add different platforms get to the same index."""
    both = index.merge(one).merge(two)
    if one.platform != two.platform:
        assert both == index.merge(two).merge(one)
    assert both == index.merge(one, two)


def test_as_oci_changes_words_and_not_content() -> None:
    """Docker's media types become OCI's; digests, sizes and unknown types stay."""
    zstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    types = [DOCKER_LAYER_GZIP, zstd, OCI_LAYER_ZSTD, "x/y"]
    layers = tuple(
        Descriptor(
            media_type=kind,
            digest=Digest.of(kind.encode()),
            size=len(kind),
            annotations={"aweigh.layer-key": kind},
        )
        for kind in types
    )
    config = Descriptor(media_type=DOCKER_CONFIG, digest=Digest.of(b"{}"), size=2)
    docker = Manifest(config=config, layers=layers, media_type=DOCKER_MANIFEST)
    oci = docker.as_oci()
    assert oci.media_type == OCI_MANIFEST
    assert oci.config.media_type == OCI_CONFIG
    assert [layer.media_type for layer in oci.layers] == [
        OCI_LAYER_GZIP,
        OCI_LAYER_ZSTD,
        OCI_LAYER_ZSTD,
        "x/y",
    ]
    assert [layer.digest for layer in oci.layers] == [layer.digest for layer in layers]
    assert oci.layers[0].annotations == {"aweigh.layer-key": DOCKER_LAYER_GZIP}
    assert oci.as_oci() == oci


def test_descriptors_with_equal_annotations_are_equal() -> None:
    """Values compare by content and can be members of sets."""
    made = [
        Descriptor(
            media_type="x/y",
            digest=Digest.of(b""),
            size=0,
            annotations=MappingProxyType({"a": "b"}),
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 1
