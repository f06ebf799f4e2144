"""The `aweigh` command."""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130
_MANY_OBJECTS = 50_000  # new ones, until the next look for garbage


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Ctrl-C is told in one line from here on, while modules are imported too.
    """
    if argv is not None:
        return _run(argv)
    # The process is ours. Modules are no garbage, neither while they are imported nor
    # at exit: looking for some in them took a sixth of a warm command.
    gc.set_threshold(_MANY_OBJECTS)
    try:
        return _run(None)
    finally:
        gc.freeze()


def _run(argv: Sequence[str] | None) -> int:
    try:
        from aweigh.cli.main import main as run

        return run(argv)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED
