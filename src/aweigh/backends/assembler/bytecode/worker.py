"""The program that compiles modules: run by the target's interpreter, not imported.

It reads a line of JSON per batch, ``[[source, target, shown], ...]``, and answers with
a line, ``[[size, digest, digest of the source] or null, ...]``. It uses the standard
library only and runs on every Python from 3.8 on.
"""

from __future__ import annotations

import hashlib
import importlib._bootstrap_external as bootstrap
import importlib.util
import json
import sys
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


def _compile(source: str, target: str, shown: str) -> tuple[int, str, str] | None:
    """Write the bytecode of a file; None when it does not compile."""
    with open(source, "rb") as file:  # noqa: PTH123 - importing pathlib takes time
        text = file.read()
    try:
        code = compile(text, shown, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        # A template, or for another Python.
        return None
    # PEP 552, unchecked: valid whatever the times of the source are.
    hashed = importlib.util.source_hash(text)
    content = bootstrap._code_to_hash_pyc(_shared(code, {}), hashed, False)  # type: ignore[attr-defined]  # noqa: SLF001
    with open(target, "wb") as file:  # noqa: PTH123
        file.write(content)
    return (
        len(content),
        hashlib.sha256(content).hexdigest(),
        hashlib.sha256(text).hexdigest(),
    )


def _shared(code: CodeType, known: dict[str, frozenset[object]]) -> CodeType:
    """Let equal sets be one object: whether they are depends on what came before."""
    constants = [_one(constant, known) for constant in code.co_consts]
    if all(new is old for new, old in zip(constants, code.co_consts)):  # noqa: B905 - 3.8
        return code
    return code.replace(co_consts=tuple(constants))


def _one(constant: object, known: dict[str, frozenset[object]]) -> object:
    if isinstance(constant, CodeType):
        return _shared(constant, known)
    if isinstance(constant, frozenset):
        text = repr(sorted(map(repr, constant)))
        return known.setdefault(text, constant)
    return constant


def serve(lines: Iterable[str], out: TextIO) -> None:
    """Answer each line until there are no more."""
    # Strings of one character are shared by the whole process, and how they are written
    # depends on whether anything interned them before.
    interned = [sys.intern(chr(number)) for number in range(256)]
    for line in lines:
        out.write(json.dumps([_compile(*job) for job in json.loads(line)]) + "\n")
        out.flush()
    del interned


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
