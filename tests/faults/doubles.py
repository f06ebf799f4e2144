"""A registry whose truth the test knows, and the checker that asks it."""

from aweigh.errors import RegistryUnavailableError
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.oci import Descriptor, Index, Manifest, Platform, Reference
from aweigh.testing.doubles import DictManifests


class Registry(DictManifests):
    """Manifests in a dict, until it is down or somebody deletes them.

    Attributes:
        down: While true, nobody gets an answer.
        asked: The references that checkers asked for.
        answered: How many questions of checkers had an answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.asked: list[Reference] = []
        self.answered = 0

    async def get_manifest(
        self, reference: Reference, /
    ) -> tuple[Manifest | Index, Descriptor, bytes] | None:
        """Return a document."""
        self._require_up()
        return await super().get_manifest(reference)

    async def put_manifest(
        self, reference: Reference, content: bytes, media_type: str, /
    ) -> Descriptor:
        """Put a document under its target and its digest."""
        self._require_up()
        return await super().put_manifest(reference, content, media_type)

    def points_at(self, reference: Reference) -> str | None:
        """Return the digest under a tag, without asking: the test's own knowledge."""
        held = self.stored.get(f"{reference.name}@{reference.tag}")
        if held is None:
            return None
        return next(
            name.rpartition("@")[2]
            for name, other in self.stored.items()
            if other == held and "@sha256:" in name
        )

    def holds(self, reference: Reference, digest: str) -> bool:
        """Whether a manifest is there, by digest, without asking."""
        return f"{reference.name}@{digest}" in self.stored

    def delete(self, reference: Reference) -> None:
        """Delete what a tag points at, and every tag that points at it."""
        held = self.stored.get(f"{reference.name}@{reference.tag}")
        for name, other in list(self.stored.items()):
            if other == held:
                del self.stored[name]

    def _require_up(self) -> None:
        if self.down:
            raise RegistryUnavailableError(
                "no answer", hint="wait", registry="r.example"
            )


class RegistryDouble:
    """Asks a `Registry` as the real checker asks a real one."""

    name = "registry"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def check(
        self, reference: Reference, platforms: frozenset[Platform], /
    ) -> Verdict:
        """Say whether the registry has it, with all platforms."""
        self._registry.asked.append(reference)
        try:
            found = await self._registry.get_manifest(reference)
        except RegistryUnavailableError as error:
            return Unknown(str(error), error.hint)
        self._registry.answered += 1
        if found is None:
            return Absent(f"no {reference}")
        document, descriptor, _ = found
        there = document.platforms if isinstance(document, Index) else frozenset()
        if not platforms <= there:
            return Absent(f"{reference} lacks {platforms - there}")
        return Present(descriptor, there if platforms else frozenset())
