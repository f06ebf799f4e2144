"""A registry whose truth the test knows, and the checker that asks it."""

from aweigh.errors import RegistryUnavailableError
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.oci import Descriptor, Index, Manifest, Platform, Reference
from aweigh.testing.doubles import DictManifests


class Registry(DictManifests):
    """Manifests in a dict, until it is down or somebody deletes them.

    Attributes:
        down: While true, nobody gets an answer.
        dies_after: How many requests it still answers; None for any number.
        hiccups: How many of the next requests have no answer.
        failed: How many requests had none.
        log: What checkers asked for, and which kind of verdict they gave.
        ever: Every manifest that was put, by digest, deleted ones too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.dies_after: int | None = None
        self.hiccups = 0
        self.failed = 0
        self.log: list[tuple[Reference, type[Verdict]]] = []
        self.ever: dict[str, tuple[bytes, str]] = {}

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
        made = await super().put_manifest(reference, content, media_type)
        self.ever[str(made.digest)] = (content, media_type)
        return made

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
        if self.dies_after is not None:
            self.dies_after -= 1
            if self.dies_after < 0:
                self.down, self.dies_after = True, None
        if self.down or self.hiccups > 0:
            self.hiccups = max(0, self.hiccups - 1)
            self.failed += 1
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
        verdict = await self._verdict(reference, platforms)
        self._registry.log.append((reference, type(verdict)))
        return verdict

    async def _verdict(
        self, reference: Reference, platforms: frozenset[Platform]
    ) -> Verdict:
        try:
            found = await self._registry.get_manifest(reference)
        except RegistryUnavailableError as error:
            return Unknown(str(error), error.hint)
        if found is None:
            return Absent(f"no {reference}")
        document, descriptor, _ = found
        there = document.platforms if isinstance(document, Index) else frozenset()
        if not platforms <= there:
            return Absent(f"{reference} lacks {platforms - there}")
        return Present(descriptor, there if platforms else frozenset())
