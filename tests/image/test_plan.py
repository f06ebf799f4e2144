"""Plans: what shares a layer, and that little changes when little changes."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.errors import SpecError
from aweigh.image.lock import LockedWheel, normalised
from aweigh.image.plan import (
    BUCKETS,
    HEAVY_BYTES,
    KNOWN_HEAVY,
    MOST_LAYERS,
    MOST_PYTHON_LAYERS,
    PythonLayer,
    is_heavy,
    layer_key,
    plan_layers,
)
from aweigh.oci import Digest
from tests.image.locks import MEGABYTE, make_lock, make_locked

NAMES = st.from_regex(r"[a-z]{1,3}(-[a-z0-9]{1,2})?", fullmatch=True)
SIZES = st.none() | st.integers(1, 2 * HEAVY_BYTES)
WHEELS = st.builds(
    make_locked,
    NAMES | st.sampled_from(sorted(KNOWN_HEAVY)),
    SIZES,
    version=st.sampled_from(["1.0", "2.0"]),
    first_party=st.booleans(),
)


def sets(most: int = 25) -> st.SearchStrategy[list[LockedWheel]]:
    """Draw wheels of different projects, in any order."""
    return st.lists(WHEELS, max_size=most, unique_by=lambda wheel: wheel.name)


def planned(wheels: list[LockedWheel], base_layers: int = 5) -> tuple[PythonLayer, ...]:
    """Plan these wheels."""
    return plan_layers(make_lock(wheels), base_layers=base_layers)


def keys(layers: tuple[PythonLayer, ...]) -> dict[str, Digest]:
    """Name the content of each layer."""
    found = {one.name: layer_key(one, python="3.12", bytecode="") for one in layers}
    assert len(found) == len(layers)
    return found


def holders(name: str, *plans: tuple[PythonLayer, ...]) -> set[str]:
    """Name the layers that hold a project."""
    return {
        layer.name
        for layers in plans
        for layer in layers
        if name in {wheel.name for wheel in layer.wheels}
    }


def changed(one: tuple[PythonLayer, ...], other: tuple[PythonLayer, ...]) -> set[str]:
    """Name the layers that two plans do not share."""
    return {name for name, _ in keys(one).items() ^ keys(other).items()}


def in_order(name: str) -> tuple[str, int]:
    """Let ``light-2`` come before ``light-11``."""
    word, _, number = name.rpartition("-")
    return (word, int(number)) if word == "light" else (name, 0)


@given(wheels=sets(), extra=WHEELS)
def test_adding_and_removing_touch_only_the_holder(
    wheels: list[LockedWheel], extra: LockedWheel
) -> None:
    """One package more or less changes exactly the layer that holds it."""
    without = [wheel for wheel in wheels if wheel.name != extra.name]
    before, after = planned(without), planned([*without, extra])
    assert changed(before, after) == holders(extra.name, after)
    assert len(holders(extra.name, after)) == 1


@given(wheels=sets().filter(len), size=SIZES, data=st.data())
def test_upgrading_touches_only_the_holders(
    wheels: list[LockedWheel], size: int | None, data: st.DataObject
) -> None:
    """Another version, larger or smaller, changes where it was and where it is."""
    at = data.draw(st.integers(0, len(wheels) - 1))
    old = wheels[at]
    new = make_locked(old.name, size, version="3.0", first_party=old.first_party)
    before, after = planned(wheels), planned([*wheels[:at], new, *wheels[at + 1 :]])
    assert changed(before, after) == holders(old.name, before, after)


@given(wheels=sets(), seed=st.randoms(use_true_random=False), base=st.integers(1, 118))
def test_input_order_does_not_count(
    wheels: list[LockedWheel], seed: st.DataObject, base: int
) -> None:
    """Whoever lists the wheels, in whatever order and how often: one plan."""
    shuffled = [*wheels, *wheels]
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert planned(shuffled, base) == planned(wheels, base)


@settings(max_examples=50)
@given(
    wheels=sets(60),
    heavy=st.integers(0, 60),
    base=st.integers(0, MOST_LAYERS - 1),
    data=st.data(),
)
def test_limits_and_order(
    wheels: list[LockedWheel], heavy: int, base: int, data: st.DataObject
) -> None:
    """Every wheel is somewhere once; kinds and names are in order; never too many."""
    other = data.draw(st.integers(0, MOST_LAYERS - 1 - base))
    wheels += [
        make_locked(f"h{number}", HEAVY_BYTES + number) for number in range(heavy)
    ]
    layers = plan_layers(make_lock(wheels), base_layers=base, other_layers=other)
    room = MOST_LAYERS - base - other
    assert len(layers) <= min(MOST_PYTHON_LAYERS, room)
    assert sorted(
        (one.name, one.digest) for layer in layers for one in layer.wheels
    ) == (sorted((one.name, one.digest) for one in wheels))
    order = {"heavy": 0, "light": 1, "first-party": 2}
    places = [(order[layer.kind], *in_order(layer.name)) for layer in layers]
    assert places == sorted(places)
    for layer in layers:
        assert layer.wheels
        names = [wheel.name for wheel in layer.wheels]
        assert names == sorted(names)
        if room > 1:
            own = {wheel.first_party for wheel in layer.wheels}
            assert own == {layer.kind == "first-party"}


def test_a_size_decides_before_a_name() -> None:
    """The list is for wheels without a size; names are compared in normal form."""
    assert is_heavy(make_locked("idna", HEAVY_BYTES))
    assert not is_heavy(make_locked("idna", HEAVY_BYTES - 1))
    assert not is_heavy(make_locked("torch", 1))
    assert not is_heavy(make_locked("idna", None))
    assert is_heavy(make_locked("Scikit_Learn", None))
    assert {normalised(name) for name in KNOWN_HEAVY} == KNOWN_HEAVY
    # What the pull request that this grew from named: never less than it.
    assert {"tensorflow", "torch", "torchaudio", "torchvision", "scikit-learn"} <= (
        KNOWN_HEAVY
    )


def test_a_typical_set() -> None:
    """Heavy ones alone and first, the rest in few buckets, our own last."""
    wheels = [
        make_locked("acme", 30 * MEGABYTE, first_party=True),
        make_locked("torch", 180 * MEGABYTE),
        make_locked("scipy", 35 * MEGABYTE),
        *(make_locked(f"light{number}") for number in range(100)),
    ]
    layers = planned(wheels)
    assert [layer.name for layer in layers] == [
        *("scipy", "torch"),
        *(f"light-{number}" for number in range(BUCKETS)),
        "first-party",
    ]
    assert layers[1].size == 180 * MEGABYTE
    assert all(len(layer.wheels) > 1 for layer in layers[2:-1])


def test_buckets_are_the_same_for_ever() -> None:
    """Which bucket a name falls in is part of what is in registries by now."""
    names = ["certifi", "humanize", "idna", "numpy", "requests", "six"]
    layers = planned([make_locked(name) for name in names])
    assert {wheel.name: layer.name for layer in layers for wheel in layer.wheels} == {
        "idna": "light-1",
        "requests": "light-2",
        "certifi": "light-11",
        "six": "light-3",
        "humanize": "light-7",
        "numpy": "light-7",
    }


def test_the_smallest_heavy_ones_give_way() -> None:
    """Beyond the limit the largest keep their layers; unknown sizes count as large."""
    heavy = [make_locked(f"h{number:02}", HEAVY_BYTES + number) for number in range(60)]
    layers = planned([*heavy, make_locked("torch", None)])
    alone = {layer.name for layer in layers if layer.kind == "heavy"}
    places = MOST_PYTHON_LAYERS - BUCKETS - 1
    assert alone == {"torch", *(f"h{number:02}" for number in range(61 - places, 60))}


@pytest.mark.parametrize(
    ("room", "buckets"),
    [(1, 1), (2, 1), (3, 1), (4, 2), (7, 2), (8, 4), (16, 8), (31, 8), (32, 16)],
)
def test_a_deep_base_leaves_fewer_buckets(room: int, buckets: int) -> None:
    """With little room buckets are halved, and never is a layer too many."""
    wheels = [make_locked(f"light{number}") for number in range(40)]
    wheels += [make_locked("acme", first_party=True), make_locked("torch", None)]
    layers = planned(wheels, MOST_LAYERS - room)
    assert sum(layer.kind == "light" for layer in layers) == buckets
    assert any(layer.name == "torch" for layer in layers) is (room > buckets + 1)


def test_no_room_is_an_error_unless_nothing_is_planned() -> None:
    """A base that is full takes no packages, and the error counts for the reader."""
    with pytest.raises(SpecError, match="119 of its base, 1 of other") as found:
        plan_layers(make_lock([make_locked("a")]), base_layers=119, other_layers=1)
    assert "fewer layers" in found.value.hint
    assert plan_layers(make_lock([]), base_layers=500) == ()


@given(one=sets(4).filter(len), other=sets(4).filter(len))
def test_keys_are_equal_for_equal_content_only(
    one: list[LockedWheel], other: list[LockedWheel]
) -> None:
    """What is in it decides; not what it is called nor where it comes from."""
    first = PythonLayer(kind="light", wheels=tuple(one), name="light-0")
    second = PythonLayer(kind="light", wheels=tuple(other), name="light-0")
    equal = [wheel.filename for wheel in one] == [wheel.filename for wheel in other]
    same = layer_key(first, python="3.12", bytecode="x")
    assert (same == layer_key(second, python="3.12", bytecode="x")) is equal
    moved = tuple(replace(wheel, url="https://e.example/x", step=7) for wheel in one)
    elsewhere = PythonLayer(kind="heavy", wheels=moved, name="other")
    assert layer_key(elsewhere, python="3.12", bytecode="x") == same
    assert layer_key(first, python="3.13", bytecode="x") != same
    assert layer_key(first, python="3.12", bytecode="") != same
