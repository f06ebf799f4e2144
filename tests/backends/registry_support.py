"""What the tests of the registry client share: small images, who asks."""

import json

from aweigh.image.credential import Credential
from aweigh.oci import Descriptor, Digest, Manifest, Platform, Reference
from aweigh.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from aweigh.testing import FakeRegistry

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
CONFIG = json.dumps({"os": "linux", "architecture": "amd64"}).encode()


class Nobody:
    """Knows no credential."""

    async def credential(self, _registry: str, /) -> Credential | None:
        """Return None."""
        return None


class Somebody:
    """Knows one credential, and counts who asks.

    Attributes:
        asked: The registries that were asked for.
    """

    def __init__(self, **fields: str) -> None:
        self.asked: list[str] = []
        self.known = Credential(**{"source": "the test", **fields})

    async def credential(self, registry: str, /) -> Credential | None:
        """Return it."""
        self.asked.append(registry)
        return self.known


def blob(content: bytes, media_type: str = OCI_LAYER_GZIP) -> Descriptor:
    """Describe a blob."""
    return Descriptor(
        media_type=media_type, digest=Digest.of(content), size=len(content)
    )


def reference_at(fake: FakeRegistry) -> Reference:
    """Return the reference of the image that `hold_image` makes."""
    return Reference.parse(f"{fake.host}/team/app:1")


def hold_image(
    fake: FakeRegistry, *, tag: str = "1", config: bytes = CONFIG, layers: int = 0
) -> str:
    """Let a fake registry hold an image for amd64; return its digest."""
    fake.add_blob("team/app", config)
    manifest = Manifest(
        config=blob(config, OCI_CONFIG), layers=(blob(b"layer"),) * layers
    )
    return fake.add_manifest("team/app", tag, manifest.to_bytes(), OCI_MANIFEST)
