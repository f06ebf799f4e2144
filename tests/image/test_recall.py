"""Remembered images: fresh, stale, expired, and who is asked when."""

import asyncio
from dataclasses import replace

import pytest

from aweigh.events import Warned
from aweigh.image.checker import Absent, Present, Unknown, Verdict
from aweigh.image.image import Image
from aweigh.image.recall import ImagePolicy, PersistentCacheChecker, image_key
from aweigh.oci import Descriptor, Digest, Platform, Reference
from aweigh.oci.manifest import OCI_INDEX
from aweigh.testing.doubles import (
    DictMemory,
    FakeClock,
    RecordingListener,
    ScriptedChecker,
)

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
REFERENCE = Reference.parse("r.example/t:aw-1")
DIGEST = Digest.of(b"index")
SPEC = Digest.of(b"spec")
THERE = Present(
    Descriptor(media_type=OCI_INDEX, digest=DIGEST, size=1), frozenset({AMD64})
)


class Bench:
    """A checker over a memory that holds one image, and everything around it."""

    def __init__(self, *verdicts: Verdict, offline: bool = False) -> None:
        self.clock = FakeClock()
        self.memory = DictMemory()
        self.heard = RecordingListener()
        self.source = ScriptedChecker(*verdicts)
        self.policy = ImagePolicy(
            fresh_for=60, ttl=600, offline=offline, revalidate_within=0.05
        )
        self.checker = self.of_spec(SPEC)

    def of_spec(self, spec_digest: Digest) -> PersistentCacheChecker:
        """Return a checker for another spec over the same memory."""

        async def source() -> ScriptedChecker:
            return self.source

        return PersistentCacheChecker(
            self.memory,
            scope="registry",
            spec_digest=spec_digest,
            policy=self.policy,
            source=source,
            listener=self.heard,
            clock=self.clock,
        )

    async def remember(self) -> None:
        """Remember the image now."""
        await self.checker.remember(
            Image(
                reference=REFERENCE,
                digest=DIGEST,
                location="registry",
                platforms=frozenset({AMD64}),
                origin="built",
                verified_at=self.clock(),
            )
        )

    async def check(self, *platforms: Platform) -> Verdict:
        """Ask for these platforms."""
        return await self.checker.check(REFERENCE, frozenset(platforms or {AMD64}))


async def test_nothing_remembered_is_unknown() -> None:
    """Memory never says Absent."""
    assert await Bench(THERE).check() == Unknown("not remembered")


async def test_fresh_is_present_without_asking() -> None:
    """A fresh row is the answer, and nobody is asked."""
    bench = Bench(THERE)
    await bench.remember()
    bench.clock.advance(60)
    verdict = await bench.check()
    assert isinstance(verdict, Present)
    assert verdict.descriptor.digest == DIGEST
    assert verdict.verified_at == bench.clock() - 60
    assert bench.source.asked == []


async def test_stale_and_there_is_renewed_by_digest() -> None:
    """A stale row is confirmed by digest, and fresh from then on."""
    bench = Bench(THERE)
    await bench.remember()
    bench.clock.advance(61)
    assert isinstance(await bench.check(), Present)
    assert bench.source.asked == [REFERENCE.with_digest(DIGEST)]
    bench.clock.advance(59)
    assert isinstance(await bench.check(), Present)
    assert len(bench.source.asked) == 1


async def test_row_of_the_future_is_asked_about() -> None:
    """A clock that was set back makes no row fresh for longer."""
    bench = Bench(THERE)
    await bench.remember()
    bench.clock.advance(-1)
    assert isinstance(await bench.check(), Present)
    assert bench.source.asked == [REFERENCE.with_digest(DIGEST)]


async def test_stale_and_gone_is_forgotten() -> None:
    """An image that was deleted behind the row is no answer, and its row goes."""
    bench = Bench(Absent("404"))
    await bench.remember()
    bench.clock.advance(61)
    verdict = await bench.check()
    assert isinstance(verdict, Unknown)
    assert "gone" in verdict.reason
    assert bench.memory.records == {}


async def test_stale_and_another_digest_is_forgotten() -> None:
    """A holder that shows something else under the name does not have the image."""
    other = Descriptor(media_type=OCI_INDEX, digest=Digest.of(b"other"), size=1)
    bench = Bench(Present(other, frozenset({AMD64})))
    await bench.remember()
    bench.clock.advance(61)
    assert isinstance(await bench.check(), Unknown)
    assert bench.memory.records == {}


async def test_stale_and_no_answer_is_used_with_a_warning() -> None:
    """Stale-if-error: the row answers, unrenewed, and says so."""
    bench = Bench(Unknown("503", "ask later"))
    await bench.remember()
    bench.clock.advance(61)
    verdict = await bench.check()
    assert isinstance(verdict, Present)
    assert verdict.verified_at == bench.clock() - 61
    (warning,) = bench.heard.of(Warned)
    assert "503" in warning.message
    assert len(bench.memory.writes) == 1


async def test_stale_and_hanging_holder_is_cut_short() -> None:
    """A holder that does not answer costs the short deadline, not the caller's time."""
    bench = Bench(THERE)
    bench.source.gate.clear()
    await bench.remember()
    bench.clock.advance(61)
    async with asyncio.timeout(5):
        assert isinstance(await bench.check(), Present)
    assert "no answer within" in bench.heard.of(Warned)[0].message


async def test_expired_is_as_if_never_remembered() -> None:
    """Past its time a row is a miss and nobody is asked about it."""
    bench = Bench(THERE)
    await bench.remember()
    bench.clock.advance(601)
    assert await bench.check() == Unknown("not remembered")
    assert bench.source.asked == []


async def test_offline_uses_stale_rows_without_asking() -> None:
    """Offline nobody is asked; what is remembered is the answer."""
    bench = Bench(THERE, offline=True)
    await bench.remember()
    bench.clock.advance(599)
    assert isinstance(await bench.check(), Present)
    assert bench.source.asked == []


async def test_other_platform_misses() -> None:
    """A row answers for the platforms that were verified, and no others."""
    bench = Bench(THERE)
    await bench.remember()
    verdict = await bench.check(AMD64, ARM64)
    assert verdict == Unknown("remembered without linux/arm64")
    assert await bench.checker.fresh(REFERENCE, frozenset({ARM64})) is None


async def test_other_spec_with_the_same_tag_misses() -> None:
    """The tag is short; the row holds the whole digest, and it must agree."""
    bench = Bench(THERE)
    await bench.remember()
    other = bench.of_spec(Digest.of(b"another spec"))
    assert await other.check(REFERENCE, frozenset({AMD64})) == Unknown("not remembered")


async def test_ttl_zero_remembers_nothing() -> None:
    """The cache can be turned off."""
    bench = Bench(THERE)
    await bench.remember()
    bench.policy = ImagePolicy(fresh_for=60, ttl=0)
    off = bench.of_spec(SPEC)
    assert await off.fresh(REFERENCE, frozenset({AMD64})) is None
    writes = len(bench.memory.writes)
    bench.checker = off
    await bench.remember()
    assert len(bench.memory.writes) == writes


@pytest.mark.parametrize(
    "value", [b"", b"{}", b"[]", b"null", b"\xff", b'{"spec": 1, "location": []}']
)
async def test_foreign_values_are_misses(value: bytes) -> None:
    """Whatever a row's value is, it is an image of this spec or nothing."""
    bench = Bench(THERE)
    await bench.remember()
    ((key, record),) = bench.memory.records.items()
    bench.memory.records[key] = replace(record, value=value)
    assert await bench.check() == Unknown("not remembered")


def test_keys_keep_scopes_and_names_apart() -> None:
    """Two holders, repositories or tags never share a row."""
    keys = {
        image_key(scope, Reference.parse(name))
        for scope in ("registry", "engine:a", "engine:b")
        for name in ("r.example/t:a", "r.example/t:b", "r.example/u:a", "s.example/t:a")
    }
    assert len(keys) == 12
