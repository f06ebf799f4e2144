"""What a build does in which order: system, layers, files, between barriers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import SpecError
from aweigh.image.lock import LockedWheel
from aweigh.image.order import Action
from aweigh.image.plan import MOST_PYTHON_LAYERS, PythonLayer
from aweigh.image.schedule import plan_build, schedule
from aweigh.image.spec import ImageSpec
from tests.image.locks import MEGABYTE, make_lock, make_locked

SPEC = ImageSpec("t", base="debian:12")
TORCH = make_locked("torch", 180 * MEGABYTE)
IDNA = make_locked("idna")
SIX = make_locked("six")
ACME = make_locked("acme", first_party=True)


def at(step: int, wheel: LockedWheel) -> LockedWheel:
    """Return the wheel as another step's."""
    return make_locked(wheel.name, wheel.size, step=step, first_party=wheel.first_party)


def words(spec: ImageSpec, *wheels: LockedWheel) -> list[str]:
    """Return what is done, in order: kinds of steps and names of layers."""
    layers = plan_build(spec, make_lock(wheels), base_layers=5)
    return [word(item) for item in schedule(spec, layers)]


def word(item: Action | PythonLayer) -> str:
    """Return a layer's name or what kind of step it is."""
    if isinstance(item, PythonLayer):
        return item.name
    return type(item.step).__name__.removesuffix("Step").lower()


def test_without_a_plan_steps_stay() -> None:
    """Python steps are carried out as they are, wheels after the others."""
    spec = SPEC.with_wheel("*").with_files("a", "/a").with_packages("torch")
    assert [word(item) for item in schedule(spec, None)] == [
        *("files", "packages", "wheel"),
    ]


def test_system_then_layers_then_files() -> None:
    """Heavy, light, first-party: after apt, before files and variables."""
    spec = (
        SPEC.with_files("a", "/a")
        .with_wheel("*.whl")
        .with_env(A="1")
        .with_packages("torch", "idna")
    )
    wheels = (at(1, ACME), at(3, IDNA), at(3, TORCH))
    layers = ["torch", "light-1", "first-party"]
    assert words(spec, *wheels) == [*layers, "files", "env"]
    # What was said before apt may be for apt; it stays ahead.
    steps = (*spec.steps, *SPEC.with_apt("git").with_user("1000").steps)
    assert words(spec.replace(steps=steps), *wheels) == [
        *("files", "env", "apt", *layers, "user"),
    ]


@pytest.mark.parametrize(
    ("first", "stays"),
    [
        (SPEC.with_env(UV_HTTP_TIMEOUT="99"), True),
        (SPEC.with_env(https_proxy="http://p.example"), True),
        (SPEC.with_env(SSL_CERT_FILE="/ca.pem"), True),
        (SPEC.with_env(HF_HOME="/cache"), False),
        (SPEC.with_files("uv.toml", "/etc/uv/uv.toml"), True),
        (SPEC.with_files("root", "/"), True),
        (SPEC.with_files("a", "/etcetera"), False),
        (SPEC.with_workdir("/app"), False),
    ],
)
def test_what_uv_reads_stays_ahead(first: ImageSpec, *, stays: bool) -> None:
    """Proxies, certificates and uv's own files count where wheels are downloaded."""
    spec = first.with_packages("idna")
    found = words(spec, at(1, IDNA))
    assert (found[-1] == "light-1") is stays
    assert len(found) == 2


def test_what_is_said_later_configures_nothing() -> None:
    """A proxy for the container is no reason to wait with the packages."""
    spec = SPEC.with_packages("idna").with_env(https_proxy="http://p.example")
    assert words(spec, IDNA) == ["light-1", "env"]


def test_what_is_built_may_need_all_before_it() -> None:
    """A source distribution keeps its place behind files and variables."""
    spec = SPEC.with_env(CFLAGS="-O3").with_packages("six").with_files("a", "/a")
    source = make_locked("six", step=1, suffix=".tar.gz")
    assert words(spec, source) == ["env", "light-3", "files"]


def test_nothing_crosses_a_run_step() -> None:
    """Each side has its own plan; what is installed already is not installed again."""
    spec = (
        SPEC.with_packages("torch", "idna")
        .with_run("one", "two")
        .with_packages("six")
        .with_wheel("*.whl")
        .with_run("three")
    )
    wheels = (TORCH, IDNA, at(2, TORCH), at(2, SIX), at(3, ACME), at(3, IDNA))
    assert words(spec, *reversed(wheels)) == [
        *("torch", "light-1", "run", "light-3", "first-party", "run"),
    ]


def test_a_project_is_installed_from_where_it_is() -> None:
    """Its dependencies are layers; the project itself stays an action, after them."""
    spec = SPEC.with_project(".", install_project=True).with_packages("six")
    assert words(spec, TORCH, at(1, SIX)) == ["torch", "light-3", "project"]
    found = words(spec.replace(optimize_layers=False), TORCH, at(1, SIX))
    assert found == ["step-0", "step-1", "project"]


def test_the_users_own_order() -> None:
    """Switched off, each step is a layer where it was, whatever the sizes."""
    spec = (
        SPEC.with_wheel("*.whl")
        .with_files("a", "/a")
        .with_packages("idna")
        .with_run("x")
        .with_packages("torch", "idna")
        .replace(optimize_layers=False)
    )
    wheels = (at(0, ACME), at(0, SIX), at(2, IDNA), at(4, TORCH), at(4, IDNA))
    assert words(spec, *wheels) == ["files", "step-2", "step-0", "run", "step-4"]
    layers = plan_build(spec, make_lock(wheels), base_layers=5)
    assert [[wheel.name for wheel in one.wheels] for one in layers] == [
        ["idna"],
        ["acme", "six"],
        ["torch"],
    ]
    assert [one.kind for one in layers] == ["light", "first-party", "light"]


@given(sizes=st.lists(st.integers(0, 45), min_size=1, max_size=4))
def test_segments_share_the_limit(sizes: list[int]) -> None:
    """However many barriers there are, an image has 40 Python layers at most."""
    spec, wheels = SPEC, []
    for segment, size in enumerate(sizes):
        spec = spec.with_packages("x").with_run("y")
        wheels += [
            make_locked(f"p{segment}x{number}", 30 * MEGABYTE, step=2 * segment)
            for number in range(size)
        ]
    layers = plan_build(spec, make_lock(wheels), base_layers=5)
    assert len(layers) <= MOST_PYTHON_LAYERS
    assert sorted(wheel.name for layer in layers for wheel in layer.wheels) == sorted(
        wheel.name for wheel in wheels
    )
    planned = [item for item in schedule(spec, layers) if isinstance(item, PythonLayer)]
    assert planned == list(layers)


def test_other_steps_take_room_too() -> None:
    """Apt, run, files, directories and a project count where there is little room."""
    spec = (
        SPEC.with_packages("idna")
        .with_apt("git")
        .with_files("a", "/a")
        .with_workdir("/w")
        .with_project(".", install_project=True)
        .with_run("x", "y")
        .with_env(A="1")
    )
    assert plan_build(spec, make_lock([IDNA]), base_layers=111)
    with pytest.raises(SpecError, match="112 of its base, 8 of other"):
        plan_build(spec, make_lock([IDNA]), base_layers=112)


def test_nothing_to_install_is_no_layer() -> None:
    """Steps that the base satisfies leave no trace."""
    spec = SPEC.with_packages("idna").with_env(A="1")
    assert words(spec) == ["env"]
    assert words(spec.replace(optimize_layers=False)) == ["env"]
