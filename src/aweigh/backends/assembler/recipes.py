"""How each kind of layer is made, and under which keys it may be known already."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.backends.assembler.conflicts import find_conflicts, settle
from aweigh.backends.assembler.environment import environment_key, environment_members
from aweigh.backends.assembler.layers import Candidate, Wanted
from aweigh.backends.assembler.members import staged_members
from aweigh.backends.assembler.memo import ENVIRONMENT
from aweigh.backends.assembler.pack import pack
from aweigh.backends.assembler.places import DATA_DIRECTORIES, site_packages
from aweigh.errors import ChangedError
from aweigh.events import Warned, silent
from aweigh.image.plan import layer_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from aweigh.archive.member import Member
    from aweigh.backends.assembler.base import BaseFacts
    from aweigh.backends.assembler.bytecode import Compiler
    from aweigh.backends.assembler.files import FilesLayer
    from aweigh.backends.assembler.pack import Codec, Packed
    from aweigh.backends.assembler.stage import Stager
    from aweigh.events import Listener
    from aweigh.image.lock import Lock
    from aweigh.image.plan import PythonLayer
    from aweigh.oci import Digest

__all__ = ["PythonRecipe", "environment_layer", "files_layer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonRecipe:
    """Makes the Python layers of one image.

    Attributes:
        stager: Unpacks wheels.
        compiler: Compiles modules; None when no interpreter fits.
        codec: Compresses.
        listener: Hears of wheels that contradict each other.
        seen: Interpreters that compiled layers the registry has.
    """

    stager: Stager
    compiler: Compiler | None
    codec: Codec
    listener: Listener = silent
    seen: Collection[str] = ()

    def layer(self, layer: PythonLayer) -> Wanted:
        """Say what a planned layer is and how it is made."""

        async def make(directory: Path) -> Packed:
            return await self._make(layer, directory)

        return Wanted(
            name=layer.name,
            candidates=tuple(
                Candidate(self._key(layer, tag), tag) for tag in self._tags()
            ),
            make=make,
        )

    def _tags(self) -> list[str]:
        """Order the interpreters whose bytecode would do.

        Bytecode of the same magic number runs on every release of an ``X.Y``, so what
        another machine compiled is as good; none at all is better than moving a layer.
        """
        if self.compiler is None:
            return ["", *sorted(self.seen)]
        ours = self.compiler.tag
        family = ours.rpartition("-")[0]
        others = {tag for tag in self.seen if tag.rpartition("-")[0] == family}
        return [ours, *sorted(others - {ours}), ""]

    def _key(self, layer: PythonLayer, tag: str) -> Digest:
        return layer_key(layer, python=self.stager.python, bytecode=tag)

    async def _make(self, layer: PythonLayer, directory: Path) -> Packed:
        try:
            return await self._attempt(layer, directory / "linked", "hardlink")
        except ChangedError:
            # A wheel whose RECORD is wrong: copies of our own need no digests.
            return await self._attempt(layer, directory / "copied", "copy")

    async def _attempt(
        self, layer: PythonLayer, directory: Path, link_mode: str
    ) -> Packed:
        await asyncio.to_thread(directory.mkdir)
        stage = await self.stager.unpack(layer.wheels, directory, link_mode=link_mode)
        await self._settle(stage, layer, directory)
        if self.compiler is not None:
            names = await asyncio.to_thread(_modules, stage)
            final = f"/{site_packages(self.stager.python)}"
            await self.compiler.compile(stage, names, final)
        members = await asyncio.to_thread(
            staged_members,
            stage,
            self.stager.python,
            host_paths=(str(directory), sys.executable, str(Path.home()) + os.sep),
            trust=link_mode == "hardlink",
        )
        return await pack(members, directory, self.codec)

    async def _settle(self, stage: Path, layer: PythonLayer, directory: Path) -> None:
        """Let the later of two wheels win: the installer lets either."""
        conflicts = await asyncio.to_thread(find_conflicts, stage, layer.wheels)
        for number, conflict in enumerate(conflicts):
            names = " and ".join(wheel.name for wheel in conflict.writers)
            winner = conflict.writers[-1]
            self.listener(
                Warned(
                    message=f"{names} write different contents to {conflict.path}; "
                    f"that of {winner.name} counts",
                    hint="see whether both are needed",
                )
            )
            alone = await self.stager.unpack(
                [winner], directory / f"alone-{number}", link_mode="copy"
            )
            await asyncio.to_thread(settle, stage, conflict, alone)


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


def _modules(stage: Path) -> list[str]:
    """List what holds modules: not scripts, data and metadata."""
    return sorted(
        path.name
        for path in stage.iterdir()
        if (path.is_dir() or path.suffix == ".py")
        and not path.name.endswith(".dist-info")
        and (path.name not in DATA_DIRECTORIES or (path / "__init__.py").is_file())
    )
