"""One round: every side through all phases, in turn, each with caches of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uv

from benchmarks.layers.engine import context
from benchmarks.layers.registry import Watch, forget, inspect
from benchmarks.layers.sets import SETS, Want, dockerfile
from benchmarks.measure import environ
from benchmarks.watched import run_watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.layers.engine import Engine
    from benchmarks.layers.index import Index
    from tests.services import Services

__all__ = ["PHASES", "Bench", "Phase", "Round", "import_times", "installer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A state of caches and a change of what is wanted.

    Attributes:
        title: What it is.
        wheels: Which cache of wheels it uses: those of one name are the same.
        layers: Which cache of layers, and which database.
        repository: Which repository it pushes to.
        added: Whether the light package is wanted.
        upgraded: Whether the upgrade is wanted.
        edited: Whether the code has changed.
        forgotten: Whether our row of the image is removed before.
    """

    title: str
    wheels: str = "1"
    layers: str = "2"
    repository: str = "2"
    added: bool = False
    upgraded: bool = False
    edited: bool = False
    forgotten: bool = False


PHASES: Final = {
    "cold": Phase(title="cold: all caches empty", layers="1", repository="1"),
    "warm": Phase(title="cold, wheels cached"),
    "add": Phase(title="add a light package", added=True),
    "upgrade": Phase(title="upgrade a heavy package", added=True, upgraded=True),
    "code": Phase(title="change the code", added=True, upgraded=True, edited=True),
    "repeat": Phase(title="repeat", added=True, upgraded=True, edited=True),
    "asked": Phase(
        title="repeat, our image row removed",
        added=True,
        upgraded=True,
        edited=True,
        forgotten=True,
    ),
    "fresh": Phase(
        title="add a light package, on a fresh machine",
        wheels="3",
        layers="3",
        repository="1",
        added=True,
    ),
}
"""In order: each needs those before it, and `fresh` needs only `cold`."""


def needed(chosen: Sequence[str]) -> list[str]:
    """Return the phases that have to run so that the chosen ones can."""
    chain = [name for name in PHASES if name != "fresh"]
    last = max((chain.index(one) for one in chosen if one != "fresh"), default=0)
    return [*chain[: last + 1], *(["fresh"] if "fresh" in chosen else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all rounds share.

    Attributes:
        services: The registry and the engine.
        engine: A client of the engine.
        index: What everybody installs from.
        uv: An image that holds uv.
        work: Where the caches of a round are.
        note: Keeps a result.
    """

    services: Services
    engine: Engine
    index: Index
    uv: str
    work: Path
    note: Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Round:
    """One round of one set."""

    bench: Bench
    name: str
    number: int
    token: str = field(default_factory=lambda: f"bl{uuid.uuid4().hex[:12]}")
    images: dict[tuple[str, str], str] = field(default_factory=dict)
    _tags: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the caches of this round are."""
        return self.bench.work / self.token

    def run(self, phases: Sequence[str], sides: Sequence[str]) -> None:
        """Run phases, the sides in turn, starting with another one in each round.

        A side that fails is left out of the rest of the round, and the failure noted.
        """
        turn = self.number % len(sides)
        running = [*sides[turn:], *sides[:turn]]
        for phase in needed(phases):
            self._write_code(edited=PHASES[phase].edited)
            for side in tuple(running):
                result = {"set": self.name, "round": self.number}
                result |= {"phase": phase, "side": side}
                try:
                    result |= {"kind": "build", **self._measure(side, phase)}
                except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                    running.remove(side)
                    result |= {"kind": "failed", "error": str(error)}
                self.bench.note(result)

    def clean(self) -> None:
        """Remove what this round left in the engine, the registry and on the disk."""
        for tag in self._tags:
            with suppress(RuntimeError):  # a build that failed has no image
                self.bench.engine.remove(tag)
        self.bench.engine.forget(self.token)
        forget(self.bench.services, f"bench/{self.token}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_code(self, *, edited: bool) -> None:
        app = self.folder / "app"
        app.mkdir(parents=True, exist_ok=True)
        for number in range(20):
            (app / f"module_{number}.py").write_text(f"VALUE = {number}\n" * 40)
        if edited:
            (app / "module_7.py").write_text(f"EDITED = '{self.token}'\n")

    def _measure(self, side: str, name: str) -> dict[str, Any]:
        phase, bench = PHASES[name], self.bench
        repository = f"bench/{self.token}/{self.name}-{side}-{phase.repository}"
        chosen = SETS[self.name]
        want = Want.of(chosen, added=phase.added, upgraded=phase.upgraded)
        watch = Watch(bench.services, repository)
        bench.index.served()
        self._settle()
        if side == "ours":
            found = self._ours(phase, repository, want)
        else:
            text = dockerfile(
                side,
                want,
                chosen.heavy,
                base=bench.services.base,
                uv=bench.uv,
                token=f"{self.token}-{side}m{phase.wheels}/{self.token}-l{phase.layers}",
            )
            found = self._peer(text, f"{bench.services.registry}/{repository}:{name}")
        pushed = watch.pushed()
        self.images[side, name] = found["image"]
        return {
            **found,
            "layers": inspect(found["image"]),
            "pushed_blobs": pushed.blobs,
            "pushed_bytes": pushed.size,
            "index_bytes": bench.index.served(),
        }

    def _settle(self) -> None:
        """Let what earlier sides wrote reach the disk before the clock starts."""
        subprocess.run(["sync"], check=True)

    def _peer(self, text: str, name: str) -> dict[str, Any]:
        tar = context(text, self.folder / "app")
        self._tags.append(name)
        began = time.perf_counter()
        self.bench.engine.build(name, tar, {"UV_DEFAULT_INDEX": self.bench.index.url})
        built = time.perf_counter()
        digest = self.bench.engine.push(name)
        ended = time.perf_counter()
        return {
            "seconds": ended - began,
            "build_seconds": built - began,
            "image": f"{name.rpartition(':')[0]}@{digest}",
        }

    def _ours(self, phase: Phase, repository: str, want: Want) -> dict[str, Any]:
        env = environ(
            AWEIGH_BUILDER="assemble",
            AWEIGH_REGISTRY=self.bench.services.registry,
            AWEIGH_ENGINE=self.bench.services.engine,
            AWEIGH_CACHE_DIR=str(self.folder / f"cache-{phase.layers}"),
            AWEIGH_DATA_DIR=str(self.folder / "data"),
            UV_CACHE_DIR=str(self.folder / f"uv-{phase.wheels}"),
            UV_DEFAULT_INDEX=self.bench.index.url,
        )
        paths = [str(Path(__file__).parents[2]), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        wanted = {
            "name": repository,
            "base": self.bench.services.base,
            "packages": [*want.packages, *want.added],
            "forget": False,
        }
        command = [sys.executable, "-m", "benchmarks.layers.ours"]
        if phase.forgotten:
            again = [*command, json.dumps({**wanted, "forget": True})]
            run_watched(again, env, self.folder)
        watched = run_watched([*command, json.dumps(wanted)], env, self.folder)
        return {
            "seconds": watched.seconds,
            **json.loads(watched.said.splitlines()[-1]),
            "child_mib": watched.child[0],
            "child": watched.child[1],
        }


def installer(engine: Engine) -> str:
    """Have an image with the uv that ours uses too, and return its name."""
    name = "localhost/aweigh-bench-uv:1"
    binary = Path(uv.find_uv_bin())
    engine.build(name, context("FROM scratch\nCOPY uv /uv\n", uv=binary))
    return name


def import_times(
    bench: Bench, name: str, images: dict[str, str], rounds: int
) -> Iterator[dict[str, Any]]:
    """Import the set in fresh containers of images, in turn, after pulling them."""
    modules = ", ".join(SETS[name].modules)
    code = (
        f"import time; began = time.perf_counter(); import {modules}; "
        "print('seconds', time.perf_counter() - began)"
    )
    for image in images.values():
        bench.engine.pull(image)
    for number in range(-1, rounds):
        for side, image in images.items():
            wall, said = bench.engine.run(image, code)
            seconds = float(said.split("seconds", 1)[1])
            if number >= 0:  # the first one fills the page cache
                yield {
                    "kind": "import",
                    "set": name,
                    "round": number,
                    "side": side,
                    "seconds": seconds,
                    "wall": wall,
                }
