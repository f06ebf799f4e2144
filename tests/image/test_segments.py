"""Which steps become images of their own, and that their names hold still."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh import ImageSpec
from aweigh.backends.assembler import only_engine
from aweigh.image.files import take_snapshot
from aweigh.image.segments import Prefix, prefix_of, segments, take_part
from aweigh.image.steps import EntrypointStep, LabelsStep, RunStep

BARE = ImageSpec("train", base="base.example/python:3")
STEPS = [
    BARE.with_apt("git"),
    BARE.with_packages("numpy"),
    BARE.with_run("make"),
    BARE.with_env(A="1"),
    BARE.with_workdir("/app"),
    BARE.with_user("1000"),
    BARE.with_labels({"a": "b"}),
    BARE.with_entrypoint("python"),
    BARE.with_files("conf", "/etc/conf"),
    BARE.with_files("conf", "/tmp/conf"),
]
SPECS = st.builds(
    lambda found, optimize: BARE.replace(steps=tuple(found), optimize_layers=optimize),
    st.lists(st.sampled_from([one.steps[0] for one in STEPS]), max_size=10),
    st.booleans(),
)


def parts(spec: ImageSpec) -> list[tuple[str, tuple[int, ...]]]:
    """Return the segments of a spec, readable."""
    found = segments(spec, only_engine)
    return [("engine" if one.engine else "assemble", one.steps) for one in found]


def test_packages_lie_on_what_the_system_needs() -> None:
    """System packages are an image of their own, wherever the spec says them."""
    spec = BARE.with_packages("numpy").with_env(A="1").with_apt("git")
    assert parts(spec) == [("engine", (1, 2)), ("assemble", (0,))]
    assert prefix_of(spec, only_engine) == Prefix(steps=frozenset({1, 2}))


def test_run_steps_are_barriers() -> None:
    """What is installed before and after a command are images of their own."""
    spec = BARE.with_packages("a").with_run("make").with_packages("b")
    assert parts(spec) == [
        ("assemble", (0,)),
        ("engine", (1,)),
        ("assemble", (2,)),
    ]
    assert prefix_of(spec, only_engine) == Prefix(
        steps=frozenset({0, 1}), environments=1
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (BARE, []),
        (BARE.with_packages("a").with_env(A="1"), [("assemble", (0, 1))]),
        (BARE.with_apt("git").with_run("make"), [("engine", (0, 1))]),
        (BARE.with_labels({"a": "b"}), [("assemble", (0,))]),
        (
            BARE.with_apt("git").with_env(A="1"),
            [("engine", (0,)), ("assemble", (1,))],
        ),
        (
            BARE.with_entrypoint("sh").with_apt("git").with_run("make"),
            [("engine", (1, 2, 0))],
        ),
        (
            BARE.with_apt("git").with_user("1").with_env(A="1").with_run("make"),
            [("engine", (0, 1, 2, 3))],
        ),
        (
            BARE.with_apt("git").with_files("a", "/a").with_run("make"),
            [("engine", (0,)), ("engine", (1, 2))],
        ),
        (BARE.with_files("a", "/a").with_run("make"), [("engine", (0, 1))]),
        (
            BARE.with_packages("a").with_files("a", "/tmp/a"),
            [("assemble", (0,)), ("engine", (1,))],
        ),
    ],
)
def test_what_is_worth_an_image(
    spec: ImageSpec, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    """Packages and files begin one; words for the config go along."""
    assert parts(spec) == expected


def test_the_users_order_without_optimising() -> None:
    """Packages that come first stay first."""
    spec = BARE.with_packages("numpy").with_apt("git").replace(optimize_layers=False)
    assert parts(spec) == [("assemble", (0,)), ("engine", (1,))]


def test_python_between_run_steps_stays_together() -> None:
    """Where one package is the engine's, those resolved with it are too."""
    spec = BARE.with_packages("a").with_packages("b")
    found = segments(spec, lambda step: getattr(step, "requirements", ()) == ("b",))
    assert [(one.steps, one.engine) for one in found] == [((0, 1), True)]


def test_nothing_is_made_for_an_engine_that_is_not_there() -> None:
    """A spec that only an engine can end is refused before anything is pushed."""
    packages = BARE.with_packages("a").with_run("make")
    assert prefix_of(packages, only_engine, has_engine=False) is None
    above = packages.with_packages("b")
    found = prefix_of(above, only_engine, has_engine=False)
    assert found == prefix_of(above, only_engine)


@given(SPECS)
def test_segments_hold_every_step_once(spec: ImageSpec) -> None:
    """Nothing is lost or done twice, and no segment is empty."""
    found = segments(spec, only_engine)
    numbers = [number for one in found for number in one.steps]
    assert sorted(numbers) == list(range(len(spec.steps)))
    assert all(one.steps for one in found)
    for one in found:
        wants = any(only_engine(spec.steps[number]) for number in one.steps)
        assert one.engine is wants


@given(SPECS)
def test_order_that_matters_is_kept(spec: ImageSpec) -> None:
    """A command sees what came before it: barriers, users, variables, files."""
    numbers = [number for one in segments(spec, only_engine) for number in one.steps]
    place = {number: at for at, number in enumerate(numbers)}
    for number, step in enumerate(spec.steps):
        if not isinstance(step, RunStep):
            continue
        for other, seen in enumerate(spec.steps):
            if other != number and not isinstance(seen, EntrypointStep | LabelsStep):
                assert (place[other] < place[number]) is (other < number)


@given(SPECS)
def test_a_prefix_has_the_segments_of_the_whole(spec: ImageSpec) -> None:
    """Parting a prefix again gives the same images: its steps stay in their order."""
    whole = segments(spec, only_engine)
    prefix = prefix_of(spec, only_engine)
    if prefix is None:
        assert len(whole) <= 1
        return
    numbers = sorted(prefix.steps)
    part = spec.replace(steps=tuple(spec.steps[number] for number in numbers))
    again = segments(part, only_engine)
    assert [
        (tuple(numbers[number] for number in one.steps), one.engine) for one in again
    ] == [(one.steps, one.engine) for one in whole[:-1]]


def test_a_part_is_the_spec_one_would_write(tmp_path: Path) -> None:
    """Its digest is that of the same steps alone: specs share what they share."""
    (tmp_path / "conf").write_text("a = 1\n")
    (tmp_path / "requirements.txt").write_text("idna\n")
    bare = ImageSpec("train", python="3.12")
    whole = (
        bare.with_packages("numpy")
        .with_files("conf", "/etc/conf")
        .with_requirements("requirements.txt")
        .with_apt("git")
    )
    snapshot = take_snapshot(whole, tmp_path)
    part, taken = take_part(whole, snapshot, {1, 2, 3})
    alone = bare.replace(steps=whole.steps[1:])
    assert taken == take_snapshot(alone, tmp_path)
    assert take_snapshot(part, tmp_path).digest == taken.digest
    assert [member.path for member in taken.members] == [
        "steps/0/file",
        "steps/1/requirements.txt",
    ]
