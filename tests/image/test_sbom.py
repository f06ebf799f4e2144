"""The list of what is in an image: a valid document, the same on every machine."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.sbom import CYCLONEDX, describe_contents, write_sbom
from aweigh.oci import Digest, Platform, Reference, describe
from aweigh.oci.manifest import OCI_MANIFEST

IMAGE = Reference.parse("r.example:5000/team/app").with_digest(Digest.of(b"image"))


def wheel(name: str, version: str = "1.0", url: str = "") -> LockedWheel:
    """Lock a wheel of an index."""
    filename = f"{name}-{version}-py3-none-any.whl"
    return LockedWheel(
        name=name,
        version=version,
        filename=filename,
        url=url or f"https://files.example/{filename}",
        digest=Digest.of(f"{name} {version} {url}".encode()),
        size=1,
        step=0,
    )


def lock(*wheels: LockedWheel) -> Lock:
    """Lock wheels."""
    return Lock(
        python="3.12", platform=Platform.parse("linux/arm64"), wheels=wheels, text=""
    )


def valid(content: bytes) -> dict[str, Any]:
    """Parse a document that CycloneDX's own schema accepts."""
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(content.decode()) is None
    document: dict[str, Any] = json.loads(content)
    return document


def test_the_validator_refuses_what_is_wrong() -> None:
    """The other tests would notice."""
    document = json.loads(write_sbom(IMAGE, lock(wheel("a"))))
    document["components"][0]["hashes"][0]["content"] = "x"
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(document)) is not None


def test_every_package_is_named_with_its_file() -> None:
    """Name, version, package URL, digest and where it came from."""
    torch = wheel("torch", "2.6.0+cpu")
    document = valid(write_sbom(IMAGE, lock(wheel("zlib-ng"), torch)))

    assert [one["name"] for one in document["components"]] == ["torch", "zlib-ng"]
    found = document["components"][0]
    assert PackageURL.from_string(found["purl"]) == PackageURL(
        "pypi", name="torch", version="2.6.0+cpu"
    )
    assert PackageURL.from_string(found["purl"]).to_string() == found["purl"]
    assert found["version"] == "2.6.0+cpu"
    assert found["hashes"] == [{"alg": "SHA-256", "content": torch.digest.hex}]
    assert found["externalReferences"] == [{"type": "distribution", "url": torch.url}]


def test_the_document_says_which_image_it_is_about() -> None:
    """Repository, digest and architecture of one platform's manifest."""
    component = valid(write_sbom(IMAGE, lock()))["metadata"]["component"]
    assert component["name"] == "r.example:5000/team/app"
    assert component["version"] == str(Digest.of(b"image"))
    assert PackageURL.from_string(component["purl"]) == PackageURL(
        "oci",
        name="app",
        version=str(Digest.of(b"image")),
        qualifiers={"arch": "arm64", "repository_url": "r.example:5000/team/app"},
    )


def test_neither_order_nor_time_shows() -> None:
    """Equal contents give equal bytes; nothing is random."""
    one, two = wheel("a"), wheel("b")
    first = write_sbom(IMAGE, lock(one, two, one))
    assert first == write_sbom(IMAGE, lock(two, one))
    assert not {"serialNumber", "timestamp"} & set(
        json.dumps(json.loads(first)).split('"')
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@h.example:8080/a.whl", "https://h.example:8080/a.whl"),
        ("https://secret@h.example/a.whl#sha256=secret", "https://h.example/a.whl"),
        ("https://h.example/a.whl?X-Signature=secret", "https://h.example/a.whl"),
    ],
)
def test_urls_are_without_secrets(url: str, shown: str) -> None:
    """Neither users nor what signs a URL gets into a document that others read."""
    content = write_sbom(IMAGE, lock(wheel("a", url=url)))
    assert b"secret" not in content
    (component,) = valid(content)["components"]
    assert component["externalReferences"][0]["url"] == shown


def test_a_file_of_the_users_own_is_no_package_of_an_index() -> None:
    """A scanner must not take it for whatever has its name there."""
    own = replace(wheel("ours", url="dist/ours-1.0-py3-none-any.whl"), first_party=True)
    (component,) = valid(write_sbom(IMAGE, lock(own)))["components"]
    assert set(component) == {"type", "bom-ref", "name", "version", "hashes"}


def test_a_commit_is_named_by_its_repository() -> None:
    """It has no file whose digest anybody could compare, and perhaps no version."""
    commit = replace(
        wheel("tool", url=f"git+https://git.example/t@{'a' * 40}#subdirectory=x"),
        version="",
    )
    (component,) = valid(write_sbom(IMAGE, lock(commit)))["components"]
    assert "hashes" not in component
    assert "version" not in component
    assert component["purl"] == "pkg:pypi/tool"
    assert component["externalReferences"] == [
        {"type": "vcs", "url": "https://git.example/t"}
    ]


def test_the_artifact_is_about_the_manifest() -> None:
    """Its document is about the same digest as its subject."""
    subject = describe(b"{}", OCI_MANIFEST)
    image = Reference.parse("r.example/t:1")
    artifact = describe_contents(image, subject, lock(wheel("a")))
    manifest = json.loads(artifact.to_bytes())
    assert manifest["artifactType"] == manifest["layers"][0]["mediaType"] == CYCLONEDX
    assert manifest["subject"]["digest"] == str(subject.digest)
    document = valid(artifact.content)
    assert document["metadata"]["component"]["version"] == str(subject.digest)
