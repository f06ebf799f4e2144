"""The public names and their signatures: what changes here, changes for users.

After a change that is meant, write them down anew:
``python tests/test_public_api.py > tests/public_api.txt``.
"""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import aweigh
from aweigh import errors, events, shared
from aweigh.flow import target

if TYPE_CHECKING:
    from collections.abc import Iterator

SAVED = Path(__file__).with_name("public_api.txt")


def described() -> Iterator[str]:
    """Write down names, signatures, fields and bases, one a line."""
    for name in sorted(aweigh.__all__):
        yield from entry(name, getattr(aweigh, name))
    for module in (target, events, errors):
        yield ""
        yield f"{module.__name__}:"
        names = getattr(module, "__all__", None) or own_classes(module)
        for name in sorted(names):
            yield from entry(name, getattr(module, name))


def own_classes(module: object) -> list[str]:
    """Name the public classes that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and not name.startswith("_")
    ]


def entry(name: str, value: object) -> Iterator[str]:
    """Write down one name and what can be used of it."""
    if not inspect.isclass(value):
        is_call = inspect.isfunction(value)
        yield signature(name, value) if is_call else f"{name} = {value}"
        return
    bases = (base.__name__ for base in value.__bases__ if base is not object)
    yield f"class {name}({', '.join(bases)})"
    fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    for field in fields:
        yield f"  {field.name}: {field.type}{default(field)}"
    known = {field.name for field in fields}
    for member, found in sorted(members(value)):
        if member not in known and not member.startswith("_"):
            yield from called(member, found)


def default(field: dataclasses.Field[object]) -> str:
    """Write a default as it is written in the class; a factory is only named."""
    if field.default is not dataclasses.MISSING:
        return f" = {field.default!r}"
    return "" if field.default_factory is dataclasses.MISSING else " = ..."


def members(value: type) -> Iterator[tuple[str, object]]:
    """List the members of a class and of those it inherits from in this package."""
    seen: dict[str, object] = {}
    for one in reversed(value.__mro__):
        if one.__module__.startswith("aweigh"):
            seen.update(vars(one))
    yield from seen.items()


def called(name: str, found: object) -> Iterator[str]:
    """Write down a method or a property."""
    match found:
        case property(fget=getter):
            yield "  " + signature(name, getter).replace("(self)", "", 1)
        case classmethod() | staticmethod():
            yield "  " + signature(name, found.__func__)
        case _ if inspect.isfunction(found):
            yield "  " + signature(name, found)
        case _:
            pass


class Bare(str):
    """A text that is written without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text itself."""
        return str(self)


def signature(name: str, function: Any) -> str:
    """Write a signature as it is in the source: the same in every release of Python."""
    found = inspect.signature(function)
    parameters = [
        one.replace(annotation=bare(one.annotation), default=named(one.default))
        for one in found.parameters.values()
    ]
    written = found.replace(
        parameters=parameters, return_annotation=bare(found.return_annotation)
    )
    is_async = inspect.iscoroutinefunction(function)
    return f"{'async ' if is_async else ''}{name}{written}"


def bare(annotation: Any) -> Any:
    """Take the quotes from an annotation."""
    return Bare(annotation) if isinstance(annotation, str) else annotation


def named(value: Any) -> Any:
    """Write functions that are defaults by their names."""
    return Bare(value.__name__) if inspect.isroutine(value) else value


def test_the_public_api_is_what_was_agreed() -> None:
    """Whoever changes a name or a parameter says so in tests/public_api.txt."""
    assert "\n".join(described()) + "\n" == SAVED.read_text()


def test_every_name_is_there_and_no_other() -> None:
    """`from aweigh import *` and `dir(aweigh)` agree with the list."""
    public = {name for name in dir(aweigh) if not name.startswith("_")}
    modules = {name for name in public if inspect.ismodule(getattr(aweigh, name))}
    assert public - modules - {"TYPE_CHECKING"} == set(aweigh.__all__)


@pytest.mark.parametrize("name", shared.__all__)
def test_functions_take_what_the_session_takes(name: str) -> None:
    """Each has its signature written out twice, for editors; they never part."""
    own = dict(inspect.signature(getattr(shared, name)).parameters)
    assert own.pop("settings").default is None
    there = inspect.signature(getattr(aweigh.Session, name)).parameters
    assert list(own.values()) == [there[one] for one in there if one in own]


if __name__ == "__main__":
    print("\n".join(described()))
