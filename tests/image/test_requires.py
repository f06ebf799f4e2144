"""requires-python: the lowest X.Y it allows."""

import pytest

from aweigh.errors import SpecError
from aweigh.image.requires import lowest_python


@pytest.mark.parametrize(
    ("demands", "expected"),
    [
        ((), ""),
        (("",), ""),
        ((">=3",), ""),
        (("<3.13",), ""),
        ((">=3.11",), "3.11"),
        ((">=3.11.4",), "3.11"),
        ((">3.10",), "3.10"),
        (("==3.12.*",), "3.12"),
        (("===3.12.1",), "3.12"),
        (("~=3.11",), "3.11"),
        (("~=3.11.2",), "3.11"),
        ((">=3.9, <4, !=3.9.*, !=3.10.1",), "3.10"),
        ((">=3.9", ">=3.12,<=3.13"), "3.12"),
        ((">=3.9", "<3.9.5"), "3.9"),
        ((">=3.12", ">=3"), "3.12"),
        ((">=3.13rc1",), "3.13"),
    ],
)
def test_lowest(demands: tuple[str, ...], expected: str) -> None:
    """The answer depends on the demands alone, not on this interpreter."""
    assert lowest_python(demands) == expected


@pytest.mark.parametrize(
    "demands",
    [(">=3.12", "<3.12"), ("~=3.11.2", "==3.12.*"), ("3.12",), (">=x",), (">=3.1,<3",)],
)
def test_impossible(demands: tuple[str, ...]) -> None:
    """Contradictions and malformed specifiers are errors with a hint."""
    with pytest.raises(SpecError) as caught:
        lowest_python(demands)
    assert caught.value.hint
