"""Which wheels share a layer: decided from sizes and names, so everywhere alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from aweigh.errors import SpecError
from aweigh.image.known_heavy import KNOWN_HEAVY
from aweigh.image.lock import normalised
from aweigh.memory import digest_parts
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aweigh.image.lock import Lock, LockedWheel

__all__ = [
    "BUCKETS",
    "HEAVY_BYTES",
    "KNOWN_HEAVY",
    "LAYOUT_VERSION",
    "MOST_LAYERS",
    "MOST_PYTHON_LAYERS",
    "Kind",
    "PythonLayer",
    "is_heavy",
    "layer_key",
    "plan_layers",
]

Kind = Literal["heavy", "light", "first-party"]

HEAVY_BYTES: Final = 150_000
"""Compressed bytes from which on a wheel has a layer of its own."""

BUCKETS: Final = 16
"""How many layers the wheels below that share."""

MOST_PYTHON_LAYERS: Final = 40
"""How many Python layers an image has at most."""

MOST_LAYERS: Final = 120
"""How many layers an image has at most, its base's included; engines refuse 128."""

LAYOUT_VERSION: Final = "2"
"""Raised when equal wheels are to become other layers than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonLayer:
    """Some wheels that are one layer of an image.

    Attributes:
        kind: ``heavy``: one large wheel; ``light``: a bucket of others;
            ``first-party``: the user's own.
        wheels: What it holds, in lock order: by name.
        name: What to call it: ``torch``, ``light-3``, ``first-party``.
    """

    kind: Kind
    wheels: tuple[LockedWheel, ...]
    name: str

    @property
    def size(self) -> int:
        """Compressed bytes of its wheels, as far as they are known."""
        return sum(wheel.size or 0 for wheel in self.wheels)

    @property
    def step(self) -> int:
        """The first step of the spec that wants one of its wheels."""
        return min(wheel.step for wheel in self.wheels)


def plan_layers(
    lock: Lock,
    *,
    base_layers: int,
    other_layers: int = 0,
    most: int = MOST_PYTHON_LAYERS,
) -> tuple[PythonLayer, ...]:
    """Spread the wheels of a lock over layers: heavy ones, light ones, first-party.

    Where a wheel goes depends on its own name and size and nothing else, so adding,
    removing or upgrading a package changes the layers that hold it and no other. Only
    when there are more heavy wheels than places, the smallest of them count as light.
    The order of ``lock.wheels`` does not matter, and the same wheel counts once.

    Args:
        lock: What to install.
        base_layers: Layers of the base.
        other_layers: Layers of the image that are neither the base's nor these.
        most: How many layers to make at most.

    Raises:
        SpecError: There is no room for a single layer.
    """
    room = min(most, MOST_LAYERS - base_layers - other_layers)
    wheels = _in_order(lock.wheels)
    if not wheels:
        return ()
    if room < 1:
        raise SpecError(
            f"the image would have more than {MOST_LAYERS} layers: {base_layers} of "
            f"its base, {other_layers} of other steps and those of its packages",
            hint="start from a base with fewer layers, or join its run steps",
        )
    if room == 1:
        return _layers("light", "light-0", wheels)
    # First-party wheels and all buckets have their places, also while they are empty:
    # filling one must not push a heavy wheel out of its own.
    # At most half of the places are theirs, for the large wheels are what matters.
    buckets = next(count for count in (BUCKETS, 8, 4, 2, 1) if count <= room // 2)
    theirs = [wheel for wheel in wheels if not wheel.first_party]
    heavy = _heaviest(theirs, room - buckets - 1)
    light = [wheel for wheel in theirs if wheel not in heavy]
    own = [wheel for wheel in wheels if wheel.first_party]
    return (
        *(one for wheel in heavy for one in _layers("heavy", wheel.name, [wheel])),
        *_light(light, buckets),
        *_layers("first-party", "first-party", own),
    )


def is_heavy(wheel: LockedWheel) -> bool:
    """Whether a wheel is large: by its size or, where nobody said, by its project."""
    if wheel.size is None:
        return normalised(wheel.name) in KNOWN_HEAVY
    return wheel.size >= HEAVY_BYTES


def layer_key(layer: PythonLayer, *, python: str, bytecode: str) -> Digest:
    """Name the content of a layer before it exists.

    It depends on the wheels, on where they are put and on the bytecode beside them;
    neither on the layer's name nor on where the wheels come from. A source distribution
    is no content yet: build it, and ask for the key of the wheel.

    Args:
        layer: The layer.
        python: The Python version as ``X.Y``, which paths in the layer contain.
        bytecode: The exact interpreter that compiled, such as ``cpython-311-3.11.2``;
            empty when nothing was compiled.
    """
    held = (
        digest_parts([wheel.name, wheel.version, wheel.filename, wheel.digest.hex])
        for wheel in layer.wheels
    )
    start = ("aweigh-layer", LAYOUT_VERSION, python, bytecode)
    return Digest(digest_parts((*start, *held)).hex())


def _in_order(wheels: Iterable[LockedWheel]) -> list[LockedWheel]:
    """Sort by name, as locks are written, and drop what is there twice."""
    once: dict[tuple[str, Digest], LockedWheel] = {}
    for wheel in sorted(wheels, key=_identity):
        once.setdefault((normalised(wheel.name), wheel.digest), wheel)
    return list(once.values())


def _identity(wheel: LockedWheel) -> tuple[str, Digest, int, str]:
    return normalised(wheel.name), wheel.digest, wheel.step, wheel.url


def _heaviest(wheels: Iterable[LockedWheel], places: int) -> list[LockedWheel]:
    """Return the heavy wheels that get a place, by name."""
    heavy = sorted(filter(is_heavy, wheels), key=_by_size)[:places]
    return _in_order(heavy)


def _by_size(wheel: LockedWheel) -> tuple[float, str]:
    """Sort the largest first; a project on the list is large, though not how much."""
    size = float("inf") if wheel.size is None else wheel.size
    return -size, normalised(wheel.name)


def _light(wheels: list[LockedWheel], buckets: int) -> Iterable[PythonLayer]:
    for bucket in range(buckets):
        held = [wheel for wheel in wheels if _bucket(wheel) % buckets == bucket]
        yield from _layers("light", f"light-{bucket}", held)


def _bucket(wheel: LockedWheel) -> int:
    """Choose by the digest of the name, which an upgrade does not change."""
    return digest_parts([normalised(wheel.name)])[0] % BUCKETS


def _layers(
    kind: Kind, name: str, wheels: list[LockedWheel]
) -> tuple[PythonLayer, ...]:
    if not wheels:
        return ()
    return (PythonLayer(kind=kind, wheels=tuple(wheels), name=name),)
