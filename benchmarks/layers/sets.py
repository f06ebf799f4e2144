"""The package sets that are measured, and the Dockerfiles of the peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["PEERS", "SETS", "SIDES", "PackageSet", "Want", "dockerfile"]

SIDES: Final = {
    "ours": "aweigh, assembled",
    "a": "(a) one RUN",
    "b": "(b) heavy first, as in flyte-sdk#425",
    "c": "(c) Flyte's generated order",
}
PEERS: Final = ("a", "b", "c")
_NAMED_HEAVY: Final = {
    "tensorflow",
    "torch",
    "torchaudio",
    "torchvision",
    "scikit-learn",
}
_VENV: Final = "/opt/venv"
_PYTHON: Final = f"{_VENV}/bin/python"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSet:
    """Pinned packages and the two ways in which they change.

    Attributes:
        packages: What the image starts with, besides the one that is upgraded.
        add: The light package that is added.
        upgrade: A package before and after its upgrade.
        modules: What is imported from the image that was built.
        heavy: What flyte-sdk#425 puts first; by default the names on its own list.
    """

    packages: tuple[str, ...]
    add: str
    upgrade: tuple[str, str]
    modules: tuple[str, ...]
    heavy: frozenset[str] = frozenset(_NAMED_HEAVY)

    @property
    def everything(self) -> tuple[str, ...]:
        """Every requirement of every phase, the older release last."""
        return (*self.packages, self.add, self.upgrade[1], self.upgrade[0])


SETS: Final = {
    "torch": PackageSet(
        packages=("torch==2.13.0+cpu", "numpy==2.4.6"),
        add="httpx==0.28.1",
        upgrade=("pandas==3.1.0", "pandas==3.1.1"),
        modules=("torch", "numpy", "pandas"),
    ),
    "science": PackageSet(
        packages=("scikit-learn==1.9.1", "scipy==1.17.1", "matplotlib==3.11.2"),
        add="httpx==0.28.1",
        upgrade=("pyarrow==26.0.0", "pyarrow==26.0.1"),
        modules=("sklearn", "scipy", "matplotlib", "pyarrow"),
    ),
    "small": PackageSet(
        packages=("humanize==4.17.0",),
        add="httpx==0.28.1",
        upgrade=("numpy==2.4.5", "numpy==2.4.6"),
        modules=("numpy", "humanize"),
        heavy=frozenset({"numpy"}),
    ),
}


@dataclass(frozen=True, slots=True)
class Want:
    """What an image is to hold in one phase.

    Attributes:
        packages: What the user listed at first.
        added: What was added to the list later.
    """

    packages: tuple[str, ...]
    added: tuple[str, ...] = ()

    @classmethod
    def of(cls, chosen: PackageSet, *, added: bool, upgraded: bool) -> Want:
        """Return what a set wants, changed in neither, one or both ways."""
        packages = (*chosen.packages, chosen.upgrade[upgraded])
        return cls(packages, (chosen.add,) if added else ())


def dockerfile(
    side: str, want: Want, heavy: frozenset[str], *, base: str, uv: str, token: str
) -> str:
    """Write what a peer builds.

    All of them have uv, its cache mount, its index (an ARG) and bytecode in common. The
    token names the cache mount and is in each command, so that nothing is in the cache
    of a new one; it is a comment there and changes nothing else.

    Args:
        side: Which peer.
        want: The packages.
        heavy: The names that (b) puts first.
        base: The base image.
        uv: An image that holds uv as ``/uv``.
        token: What names caches: ``mount/layers``.
    """
    writer = _Writer(uv, *token.split("/"))
    everything = (*want.packages, *want.added)
    match side:
        case "a":
            runs = [writer.run(writer.venv, writer.install(everything))]
        case "b":
            first = [one for one in everything if one.partition("==")[0] in heavy]
            rest = [one for one in everything if one not in first]
            runs = [writer.run(writer.venv), writer.run(writer.install(first))]
            runs.append(writer.run(writer.install(rest)))
        case _:
            # What is added later is a layer of its own there, below the code: the
            # best that this order allows, for nothing above it changes.
            compiled = f"{_PYTHON} -m compileall -q {_VENV}"
            runs = [writer.run(writer.venv, compiled)]
            runs += [
                writer.run(writer.install(layer))
                for layer in (want.packages, want.added)
                if layer
            ]
    lines = [
        f"FROM {base}",
        "ARG UV_DEFAULT_INDEX",
        "ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_PROGRESS=1",
        *runs,
        f'ENV PATH="{_VENV}/bin:$PATH"',
        "COPY app /app",
    ]
    return "\n".join(lines) + "\n"


class _Writer:
    """Writes RUN instructions."""

    venv = f"uv venv -q --system-site-packages {_VENV}"

    def __init__(self, uv: str, mount: str, layers: str) -> None:
        self._flags = (
            f"--mount=type=bind,from={uv},source=/uv,target=/usr/local/bin/uv "
            f"--mount=type=cache,id={mount},target=/root/.cache/uv"
        )
        self._comment = f"# {mount} {layers}"

    def run(self, *commands: str) -> str:
        return f"RUN {self._flags} {' && '.join(commands)} {self._comment}"

    def install(self, packages: tuple[str, ...] | list[str]) -> str:
        return f"uv pip install -q --python {_PYTHON} {' '.join(packages)}"
