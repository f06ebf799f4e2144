"""How each kind of layer is made, and under which keys it may be known already."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aweigh.backends.assembler.bytecode.bytecode import Bytecode
from aweigh.backends.assembler.layers.conflicts import Overlaps, find_conflicts, settle
from aweigh.backends.assembler.layers.environment import (
    environment_key,
    environment_members,
)
from aweigh.backends.assembler.layers.members import in_directories, staged_members
from aweigh.backends.assembler.layers.memo import ENVIRONMENT
from aweigh.backends.assembler.layers.writer import Candidate, Wanted
from aweigh.backends.assembler.wheels.installed import read_installed
from aweigh.backends.assembler.wheels.places import site_packages
from aweigh.errors import ChangedError
from aweigh.events import silent
from aweigh.image.pack import pack
from aweigh.image.plan import layer_key

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aweigh.archive.member import Member
    from aweigh.backends.assembler.bases.base import BaseFacts
    from aweigh.backends.assembler.bytecode.bytecode import Compiler
    from aweigh.backends.assembler.layers.files import FilesLayer
    from aweigh.backends.assembler.wheels.installed import Installed
    from aweigh.backends.assembler.wheels.keep import Keep
    from aweigh.backends.assembler.wheels.stage import Stager
    from aweigh.events import Listener
    from aweigh.image.lock import Lock
    from aweigh.image.pack import Codec, Packed
    from aweigh.image.plan import PythonLayer
    from aweigh.oci import Digest

__all__ = ["PythonRecipe", "environment_layer", "files_layer"]

_UNKNOWN: Final = 1 << 30


class PythonRecipe:
    """Makes the Python layers of one image.

    Args:
        stager: Unpacks wheels.
        compiler: Compiles modules; None when no interpreter fits.
        codec: Compresses.
        keep: What this machine knows of wheels.
        listener: Hears of wheels that contradict each other.
        seen: Interpreters that compiled layers the registry has.
    """

    def __init__(
        self,
        *,
        stager: Stager,
        compiler: Compiler | None,
        codec: Codec,
        keep: Keep,
        listener: Listener = silent,
        seen: Collection[str] = (),
    ) -> None:
        self._stager = stager
        self._compiler = compiler
        self._codec = codec
        self._listener = listener
        self._seen = seen
        self._final = site_packages(stager.python)
        self._bytecode = (
            None if compiler is None else Bytecode(compiler, keep, self._final)
        )
        self._overlaps = Overlaps(keep)
        # While one layer waits for its wheels or for interpreters, another is packed.
        self._packing = asyncio.Semaphore(max(1, os.cpu_count() or 1))

    def layer(self, layer: PythonLayer) -> Wanted:
        """Say what a planned layer is and how it is made; ask for the lowest first."""
        self._overlaps.expect(layer)

        async def make(directory: Path) -> Packed:
            return await self._make(layer, directory)

        return Wanted(
            name=layer.name,
            candidates=tuple(
                Candidate(self._key(layer, tag), tag) for tag in self._tags()
            ),
            make=make,
            # A size nobody said is that of a project on the list of large ones.
            size=sum(
                _UNKNOWN if one.size is None else one.size for one in layer.wheels
            ),
        )

    def _tags(self) -> list[str]:
        """Order the interpreters whose bytecode would do.

        Bytecode of the same magic number runs on every release of an ``X.Y``, so what
        another machine compiled is as good; none at all is better than moving a layer.
        """
        if self._compiler is None:
            return ["", *sorted(self._seen)]
        ours = self._compiler.tag
        family = ours.rpartition("-")[0]
        others = {tag for tag in self._seen if tag.rpartition("-")[0] == family}
        return [ours, *sorted(others - {ours}), ""]

    def _key(self, layer: PythonLayer, tag: str) -> Digest:
        return layer_key(layer, python=self._stager.python, bytecode=tag)

    async def _make(self, layer: PythonLayer, directory: Path) -> Packed:
        try:
            return await self._attempt(layer, directory / "linked", "hardlink")
        except ChangedError:
            # A wheel whose RECORD is wrong: copies of our own need no digests. Or what
            # was kept of it is damaged.
            if self._bytecode is not None:
                await asyncio.to_thread(self._bytecode.forget, layer.wheels)
            return await self._attempt(layer, directory / "copied", "copy")

    async def _attempt(
        self, layer: PythonLayer, directory: Path, link_mode: str
    ) -> Packed:
        await asyncio.to_thread(directory.mkdir)
        stage = await self._stager.unpack(layer.wheels, directory, link_mode=link_mode)
        installed = await asyncio.to_thread(read_installed, stage, layer.wheels)
        await self._settle(stage, installed, directory)
        members = await asyncio.to_thread(
            staged_members,
            stage,
            self._stager.python,
            host_paths=(str(directory), sys.executable, str(Path.home()) + os.sep),
            trust=link_mode == "hardlink",
        )
        if self._bytecode is not None:
            place = directory / "bytecode"
            compiled = await self._bytecode.members(members, installed, place)
            members = in_directories([*members, *compiled])
        async with self._packing:
            return await pack(members, directory, self._codec)

    async def _settle(
        self, stage: Path, installed: Sequence[Installed], directory: Path
    ) -> None:
        """Let the later of two wheels win: the installer lets either."""
        for number, conflict in enumerate(find_conflicts(installed)):
            self._listener(conflict.warning())
            alone = await self._stager.unpack(
                conflict.writers[-1:], directory / f"alone-{number}", link_mode="copy"
            )
            await asyncio.to_thread(settle, stage, conflict, alone)
        for one in await asyncio.to_thread(self._overlaps.look, installed, directory):
            self._listener(one.warning())


def environment_layer(facts: BaseFacts, lock: Lock, codec: Codec) -> Wanted:
    """Say what makes directories an environment, the lock included."""
    members = environment_members(facts, lock)
    return _of_members(ENVIRONMENT, environment_key(facts, lock), members, codec)


def files_layer(layer: FilesLayer, codec: Codec) -> Wanted:
    """Say what a layer of the user's files is."""
    return _of_members(layer.name, layer.key, layer.members, codec)


def _of_members(
    name: str, key: Digest, members: tuple[Member, ...], codec: Codec
) -> Wanted:
    async def make(directory: Path) -> Packed:
        return await pack(members, directory, codec)

    return Wanted(name=name, candidates=(Candidate(key),), make=make)
