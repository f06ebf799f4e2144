"""A registry in a dict to which documents can be attached."""

from aweigh.oci import Descriptor, Reference, describe
from aweigh.testing.doubles import DictManifests


class DictReferrers(DictManifests):
    """Keeps manifests and blobs; lists nothing itself."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.blobs: dict[str, bytes] = {}

    async def push_blob(
        self,
        _reference: Reference,
        descriptor: Descriptor,
        source: bytes,
        /,
        *,
        name: str,
    ) -> bool:
        """Keep a blob."""
        assert name
        self.blobs[str(descriptor.digest)] = source
        return True

    async def put_referrer(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> bool:
        """Keep a manifest."""
        digest = describe(content, media_type).digest
        self.stored[f"{reference.name}@{digest}"] = (content, media_type)
        return False
