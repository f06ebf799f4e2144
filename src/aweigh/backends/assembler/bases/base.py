"""What an image starts from: its layers, its Python, its libc."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import time
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.bases.distributions import installed
from aweigh.backends.assembler.bases.probe import Findings, scan_layer
from aweigh.errors import NeedsEngineError, RegistryError, SpecError
from aweigh.memory import Record, Table, record_key
from aweigh.oci import Index, Manifest
from aweigh.oci.config import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from aweigh.image.registry import Registry
    from aweigh.memory import Memory
    from aweigh.oci import Descriptor, Platform, Reference

__all__ = ["Base", "BaseFacts", "Bases"]

_FORMAT: Final = "base-findings-2"
_KEEP_SECONDS: Final = 365 * 86_400.0
_VERSION: Final = re.compile(r"(\d+\.\d+)(?:\.\S*)?")
_PROGRAM: Final = re.compile(r"python(\d+\.\d+)")
# Whoever ships Python in layers this large says its version in the environment; a
# download to find out would take longer than the build.
_LAYER_LIMIT: Final = 512 << 20
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseFacts:
    """What wheels have to fit.

    Attributes:
        python: The Python version as ``X.Y``.
        interpreter: The absolute path of its interpreter.
        libc: As in wheel tags: ``manylinux_2_36``, ``musllinux_1_2``.
        distributions: The installed distributions, by name and version, of the layers
            that were read to find out the rest.
    """

    python: str
    interpreter: str
    libc: str
    distributions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base for one platform.

    Attributes:
        reference: The base by digest, of the platform's manifest.
        manifest: Its layers.
        config: Its config.
    """

    reference: Reference
    manifest: Manifest
    config: ImageConfig


class Bases:
    """Reads bases from their registries.

    Args:
        registry: The registries.
        memory: Remembers facts by digest.
        directory: Where layers lie while they are read.
    """

    def __init__(self, registry: Registry, memory: Memory, directory: Path) -> None:
        self._registry = registry
        self._memory = memory
        self._directory = directory

    async def find(self, reference: Reference, platform: Platform) -> Base:
        """Read manifest and config of a base.

        Raises:
            NeedsEngineError: It is missing; an engine may have it.
            SpecError: It is not there for this platform.
            RegistryError: Its registry did not answer as it should.
        """
        found = await self._registry.get_manifest(reference)
        if found is not None and isinstance(found[0], Index):
            entries = [one for one in found[0].manifests if one.platform == platform]
            if not entries:
                raise _not_for(reference, platform)
            reference = reference.with_digest(entries[0].digest)
            found = await self._registry.get_manifest(reference)
        if found is None:
            raise NeedsEngineError(
                f"the base {reference} is not there",
                hint=f"check its spelling; if it is private, log in to "
                f"{reference.registry}",
            )
        manifest, descriptor, _ = found
        if isinstance(manifest, Index):
            raise _not_for(reference, platform)
        reference = reference.with_digest(descriptor.digest)
        content = await self._registry.read_blob(reference, manifest.config)
        config = ImageConfig.parse(content)
        if config.platform != platform:
            raise _not_for(reference, platform)
        if len(config.diff_ids) != len(manifest.layers):
            raise RegistryError(
                f"the config of {reference} has other layers than its manifest",
                hint="pull and push the base again, or name another",
                registry=reference.registry,
            )
        return Base(reference=reference, manifest=manifest, config=config)

    async def facts(self, base: Base, python: str) -> BaseFacts:
        """Tell what wheels have to fit; asks its layers once per digest.

        Args:
            base: The base.
            python: The Python that is wanted as ``X.Y``; empty: the base's own.

        Raises:
            NeedsEngineError: It has no Python, another one, or no libc that we know.
            RegistryError: A layer could not be read.
        """
        findings = await self._findings(
            base,
            f"python {python}",
            lambda seen: bool(seen.libc and _find_python(base, python, seen)),
        )
        return _conclude(base, python, findings)

    async def links(self, base: Base) -> Mapping[str, str]:
        """Tell the links near a base's root: what may not be written as a directory.

        Raises:
            RegistryError: A layer could not be read.
        """
        findings = await self._findings(base, "links", lambda seen: bool(seen.libc))
        return findings.links

    async def _findings(
        self, base: Base, purpose: str, suffices: Callable[[Findings], bool]
    ) -> Findings:
        """Recall what a base's files say, or read them once."""
        key = record_key(_FORMAT, str(base.reference.digest), purpose)
        record = await self._memory.recall(Table.BASE_FACTS, key)
        if record is not None:
            return Findings(**json.loads(record.value))
        findings = await self._look(base, suffices)
        now = time.time()
        kept = Record(
            table=Table.BASE_FACTS,
            key=key,
            value=json.dumps(asdict(findings), sort_keys=True).encode(),
            created_at=now,
            verified_at=now,
            expires_at=now + _KEEP_SECONDS,
        )
        await self._memory.remember([kept])
        return findings

    async def _look(self, base: Base, suffices: Callable[[Findings], bool]) -> Findings:
        """Read layers, the smallest first, until all is known."""
        findings = Findings()
        layers = list(enumerate(base.manifest.layers))
        for place, layer in sorted(layers, key=lambda one: one[1].size):
            if layer.size > _LAYER_LIMIT or suffices(findings):
                break
            await self._read(base, layer, findings, place)
        return findings

    async def _read(
        self, base: Base, layer: Descriptor, findings: Findings, place: int
    ) -> None:
        with tempfile.TemporaryFile(dir=self._directory) as file:
            stream = self._registry.stream_blob(base.reference, layer)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    await asyncio.to_thread(file.write, piece)
            file.seek(0)
            chunks: Iterator[bytes] = iter(lambda: file.read(_PIECE), b"")
            await asyncio.to_thread(scan_layer, chunks, findings, place=place)


def _conclude(base: Base, python: str, findings: Findings) -> BaseFacts:
    found = _find_python(base, python, findings)
    if found is None:
        wanted = f"Python {python}" if python else "Python"
        raise NeedsEngineError(
            f"the base {base.reference} has no {wanted}",
            hint="add it with with_apt (an engine builds that), or name another base, "
            "such as python:3.12-slim",
        )
    name, _, version = findings.libc.partition(" ")
    if not name:
        raise NeedsEngineError(
            f"the base {base.reference} has no C library that wheels know",
            hint="name a base with glibc or musl, or build with builder='engine'",
        )
    kind = "musllinux" if name == "musl" else "manylinux"
    return BaseFacts(
        python=found[0],
        interpreter=found[1],
        libc=f"{kind}_{version.replace('.', '_')}",
        distributions=installed(
            findings.metadata, python=found[0], interpreter=found[1]
        ),
    )


def _find_python(base: Base, python: str, findings: Findings) -> tuple[str, str] | None:
    """Return version and path of the interpreter that the base's PATH leads to."""
    told = _VERSION.fullmatch(base.config.environment.get("PYTHON_VERSION", ""))
    if told and python in {"", told[1]}:
        # Where Docker's official images put it; they set this variable.
        return told[1], f"/usr/local/bin/python{told[1]}"
    names = [f"python{python}"] if python else ["python3", "python"]
    for directory in base.config.path.split(":"):
        for name in names:
            place = findings.resolve(directory)
            program = findings.resolve(f"{place}/{name}")
            if program not in findings.programs:
                continue
            match = _PROGRAM.fullmatch(program.rpartition("/")[2])
            if match:
                return match[1], program
    return None


def _not_for(reference: Reference, platform: Platform) -> SpecError:
    return SpecError(
        f"the base {reference} exists, but not for {platform}",
        hint="name a base that exists for every platform you build for",
    )
