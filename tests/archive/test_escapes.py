"""Symlinks are followed on paper before any of them is made."""

import pytest

from aweigh.archive.escapes import refuse_escapes
from aweigh.errors import DamagedError


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/etc"},
        {"a": ".."},
        {"a": "b/../.."},
        {"d/a": "../../x"},
        {"a": ".", "b": "a/../x"},
        {"d/e/a": "../..", "b": "d/e/a/../x"},
        {"a": "b", "b": "/etc"},
        {"a": ""},
        {"a": "b\0c"},
    ],
)
def test_links_that_lead_out_are_refused(links: dict[str, str]) -> None:
    """Each by itself or together with others."""
    with pytest.raises(DamagedError, match="leaves the directory"):
        refuse_escapes(links)


@pytest.mark.parametrize(
    "links",
    [
        {},
        {"a/back": "../empty"},
        {"dangling": "a/nothing"},
        {"loop": "loop"},
        {"d/e/a": "..", "b": "d/e/a/x"},
        {f"l{number}": f"l{(number + 1) % 50}" for number in range(50)},
    ],
)
def test_links_that_stay_inside_are_kept(links: dict[str, str]) -> None:
    """Loops and long chains lead nowhere: no harm, no hang."""
    refuse_escapes(links)
