"""What a target is told, and what of it nobody sees by accident."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.flow import target
from aweigh.flow.task import Deployment, Task
from aweigh.testing import FakeTarget

# Unlike anything that is meant to be seen: names, images, punctuation.
VALUES = st.dictionaries(
    st.text("ABC_", min_size=1, max_size=3),
    st.text("xyz", min_size=8, max_size=12),
    max_size=3,
)


def some_task(env: dict[str, str], secrets: dict[str, str]) -> Task:
    """Return a task with these."""
    return Task(
        name="job",
        image="r.example/job@sha256:0",
        reference=None,
        command=("python", "main.py"),
        env=env,
        secrets=secrets,
    )


@given(env=VALUES, secrets=VALUES)
def test_no_repr_shows_a_value(env: dict[str, str], secrets: dict[str, str]) -> None:
    """People put credentials into both, and what is shown ends in logs."""
    task = some_task(env, secrets)
    wanted = Deployment(name="api", task=task, ports={80: 8000})
    fake = FakeTarget(tasks=[task], deployments=[wanted])
    shown = f"{task!r} {wanted} {dataclasses.replace(task, name='other')} {fake}"
    assert "python" in shown
    for value in (*env.values(), *secrets.values()):
        assert value not in shown


def test_equal_tasks_have_equal_variables() -> None:
    """What is not shown still counts."""
    assert some_task({"A": "1"}, {}) == some_task({"A": "1"}, {})
    assert some_task({"A": "1"}, {}) != some_task({"A": "2"}, {})


@pytest.mark.parametrize("name", ["Deployment", "Mount", "Resources", "Task"])
def test_targets_find_it_beside_the_protocols(name: str) -> None:
    """Who writes a target imports everything from one place."""
    assert name in target.__all__
    assert getattr(target, name).__module__ == "aweigh.flow.task"
