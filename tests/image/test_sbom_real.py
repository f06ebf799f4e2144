"""What is in a built image, found by a tool that is not ours."""

import dataclasses
import json
import subprocess
import urllib.request
import uuid
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from aweigh import ImageSpec, Settings, open_session
from aweigh.events import Warned
from aweigh.oci.artifact import EMPTY
from aweigh.settings import BuilderName
from aweigh.testing import RecordingListener
from tests.services import Services


def skopeo(*argv: str) -> Any:
    """Read a document with skopeo."""
    plain = ["skopeo", *argv[:-1], "--tls-verify=false", argv[-1]]
    done = subprocess.run(plain, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def attached(image: str) -> tuple[str, list[Any]]:
    """Return the digest of an image's one platform, and what is attached to it."""
    repository = image.partition("@")[0]
    (platform,) = skopeo("inspect", "--raw", f"docker://{image}")["manifests"]
    tag = platform["digest"].replace(":", "-")
    index = skopeo("inspect", "--raw", f"docker://{repository}:{tag}")
    return platform["digest"], index["manifests"]


def text_of(repository: str, digest: str) -> str:
    """Read a blob as anybody would."""
    host, _, path = repository.partition("/")
    with urllib.request.urlopen(f"http://{host}/v2/{path}/blobs/{digest}") as answer:
        content: bytes = answer.read()
    return content.decode()


@pytest.mark.parametrize("builder", ["assemble", "engine"])
async def test_an_independent_reader_finds_what_is_in_an_image(
    live: Settings, services: Services, builder: BuilderName
) -> None:
    """Through the tag of the digest: a valid document with each package's digest."""
    heard = RecordingListener()
    spec = (
        ImageSpec("listed", base=services.base)
        .with_packages("humanize==4.13.0", "idna==3.10")
        .with_env(NONCE=uuid.uuid4().hex)
    )
    settings = dataclasses.replace(live, builder=builder)
    async with open_session(settings, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert heard.of(Warned) == []

    digest, (entry,) = attached(str(image))
    assert entry["artifactType"] == "application/vnd.cyclonedx+json"
    repository = str(image).partition("@")[0]
    manifest = skopeo("inspect", "--raw", f"docker://{repository}@{entry['digest']}")
    assert manifest["subject"]["digest"] == digest
    assert manifest["config"] == EMPTY.to_json()
    (layer,) = manifest["layers"]
    content = text_of(repository, layer["digest"])
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(content) is None
    document = json.loads(content)
    assert document["metadata"]["component"]["version"] == digest
    listed = {one["name"]: one["version"] for one in document["components"]}
    assert listed == {"humanize": "4.13.0", "idna": "3.10"}
    assert all(one["hashes"] for one in document["components"])
