"""The error tree: as drawn, with a hint each, and fit to travel between processes."""

import copy
import pickle
import re
import traceback

import pytest

from aweigh import errors
from aweigh.errors import (
    AuthenticationError,
    AweighError,
    BuildError,
    ChangedError,
    InvalidReferenceError,
    LockTimeoutError,
    RegistryUnavailableError,
    TreeError,
    UndecidedError,
)

BRANCH = re.compile(r"^(?P<indent>[ │]*)[├└]── (?P<names>\w+Error(?:, \w+Error)*)")


def drawn_tree() -> dict[str, str]:
    """Return each drawn error's parent."""
    parents: dict[str, str] = {}
    above: dict[int, str] = {-1: "AweighError"}
    for line in (errors.__doc__ or "").splitlines():
        if (branch := BRANCH.match(line)) is None:
            continue
        depth = len(branch["indent"]) // 4 - 1
        names = branch["names"].split(", ")
        for name in names:
            parents[name] = above[depth - 1]
        above[depth] = names[-1]
    return parents


def every_error(kind: type[AweighError] = AweighError) -> list[type[AweighError]]:
    """Return all errors of the module, from the root down."""
    below = [error for child in kind.__subclasses__() for error in every_error(child)]
    return [error for error in [kind, *below] if error.__module__ == errors.__name__]


def make(kind: type[AweighError]) -> AweighError:
    """Make an error with the least that it needs."""
    if issubclass(kind, UndecidedError):
        return kind("h.io/x", {"registry": "429"}, hint="wait")
    if issubclass(kind, errors.RegistryError):
        return kind("it failed", hint="wait", registry="h.io")
    if issubclass(kind, errors.TargetError):
        return kind("it failed", hint="wait", target="docker")
    return kind("it failed", hint="wait")


def test_the_drawing_is_the_tree() -> None:
    """The module's docstring shows every class below its parent, and no other."""
    real = {
        error.__name__: error.__bases__[0].__name__
        for error in every_error()
        if error is not AweighError
    }
    assert drawn_tree() == real


def test_all_errors_are_exported() -> None:
    """`__all__` has every error, sorted."""
    assert errors.__all__ == sorted(error.__name__ for error in every_error())


@pytest.mark.parametrize("kind", every_error())
def test_every_error_shows_its_hint(kind: type[AweighError]) -> None:
    """The hint is an attribute, and part of what a traceback prints."""
    error = make(kind)
    assert error.hint == "wait"
    assert error.__notes__ == ["hint: wait"]
    assert "hint: wait" in "".join(traceback.format_exception(error))
    assert kind.__doc__


@pytest.mark.parametrize("kind", every_error())
@pytest.mark.parametrize(
    "travel",
    [lambda error: pickle.loads(pickle.dumps(error)), copy.copy],  # noqa: S301
)
def test_errors_survive_travel(kind: type[AweighError], travel) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A pickled or copied error says the same as before, hint and facts included."""
    error = make(kind)
    error.add_note("attempt 1 failed with: boom")
    arrived = travel(error)
    assert type(arrived) is kind
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_facts_are_attributes() -> None:
    """What happened can be read without parsing a message."""
    undecided = UndecidedError("h.io/x", {"registry": "429", "cache": "none"}, hint="h")
    assert undecided.reasons == {"registry": "429", "cache": "none"}
    assert "h.io/x" in str(undecided)
    assert "registry: 429; cache: none" in str(undecided)
    unavailable = RegistryUnavailableError(
        "busy",
        hint="h",
        registry="h.io",
        status=429,
        code="TOOMANYREQUESTS",
        retry_after=3,
    )
    assert (unavailable.registry, unavailable.status) == ("h.io", 429)
    assert (unavailable.code, unavailable.retry_after) == ("TOOMANYREQUESTS", 3)
    assert AuthenticationError("no", hint="h", registry="h.io").status is None
    build = BuildError("step failed", hint="h", step="RUN make", log=["one", "two"])
    assert (build.step, build.log) == ("RUN make", ("one", "two"))
    assert str(build) == "step failed\n    one\n    two"
    assert ChangedError("moved", hint="h", paths=["a"]).paths == ("a",)
    assert TreeError("unreadable", hint="h", paths=["b"]).paths == ("b",)
    locked = LockTimeoutError(
        "waited", hint="h", holder="process 1 on box", seconds=2.5
    )
    assert (locked.holder, locked.seconds) == ("process 1 on box", 2.5)


def test_invalid_values_are_value_errors() -> None:
    """Parsers raise what Python programmers expect of parsers."""
    assert issubclass(InvalidReferenceError, ValueError)
