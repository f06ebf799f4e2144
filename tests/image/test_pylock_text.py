"""Locks whose packages are replaced one by one."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import InvalidValueError
from aweigh.image.pylock_text import entry, replace_packages

HEAD = 'lock-version = "1.0"\ncreated-by = "t"\n'


@given(
    names=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6),
    chosen=st.sets(st.integers(0, 5)),
)
def test_only_what_is_named_changes(names: list[str], chosen: set[int]) -> None:
    """All other packages, and the head, stay as they were."""
    blocks = [entry({"name": name, "version": "1"}, "sdist = {}") for name in names]
    changes = {
        at: entry({"name": "new", "marker": "m"}, 'archive = { path = "x" }')
        for at in chosen
    }
    text = replace_packages(HEAD + "\n" + "".join(blocks), changes)
    found = tomllib.loads(text)
    assert found.pop("lock-version") == "1.0"
    assert [one["name"] for one in found["packages"]] == [
        "new" if at in chosen else name for at, name in enumerate(names)
    ]


def test_empty_text_leaves_a_package_out() -> None:
    """Tables below it go with it."""
    text = (
        HEAD + '[[packages]]\nname = "a"\n[packages.sdist]\npath = "a"\n'
        '  [[ packages ]]\nname = "b"\n'
    )
    assert tomllib.loads(replace_packages(text, {0: ""}))["packages"] == [{"name": "b"}]


@pytest.mark.parametrize(
    "text",
    [
        'packages = [{ name = "a" }]',
        'x = """\n[[packages]]\nname = "b"\n"""\n[[packages]]\nname = "a"\n',
        '[[packages]]\nname = """\n[[packages]]\n"""\n',
    ],
)
def test_locks_of_another_form(text: str) -> None:
    """What cannot be told apart is not changed at all."""
    with pytest.raises(InvalidValueError, match="packages"):
        replace_packages(text, {0: ""})
    assert replace_packages(text, {}) == text
