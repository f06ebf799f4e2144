"""Tells what is edited in directories, as the system itself notices it (watchfiles)."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from watchfiles import watch

from aweigh.errors import TreeError
from aweigh.flow.watched import Watched
from aweigh.tree.ignored import folders_inside, why_ignored
from aweigh.tree.rules import AWEIGHIGNORE, GITIGNORE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
__all__ = ["TreeWatcher"]

# Milliseconds: editors write a file in several steps, and branches are switched in
# hundreds of them.
_STEP: Final = 50
_DEBOUNCE: Final = 400
_ATTEMPTS: Final = 5
_WATCH_LIMIT: Final = (
    "leave directories out with .aweighignore, or allow more: "
    "sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances"
)


class TreeWatcher:
    """Watches every directory that is in a tree, and none that is left out."""

    def __init__(self, watched: Sequence[Watched]) -> None:
        self._watched = tuple(watched)

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[frozenset[str]]]:
        """Watch until the block is left; iterate over what changed, as paths.

        What changes after the block was entered is told. Edits that follow each other
        closely are told together. A path may be told that is as it was before.

        Raises:
            TreeError: The system cannot watch these directories; raised by the
                iterator.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[frozenset[str] | None] = asyncio.Queue()
        ready = asyncio.Event()
        thread = _Thread(
            self._watched,
            on_ready=lambda: loop.call_soon_threadsafe(ready.set),
            on_change=lambda paths: loop.call_soon_threadsafe(queue.put_nowait, paths),
        )
        running = asyncio.ensure_future(asyncio.to_thread(thread.run))
        running.add_done_callback(lambda _: ready.set())
        running.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            await ready.wait()
            yield _told(queue, running)
        finally:
            thread.stop()
            await asyncio.gather(running, return_exceptions=True)


async def _told(
    queue: asyncio.Queue[frozenset[str] | None], running: asyncio.Future[None]
) -> AsyncGenerator[frozenset[str], None]:
    while (paths := await queue.get()) is not None:
        yield paths
    running.result()


class _Thread:
    """What happens in the thread that waits for the system."""

    def __init__(
        self,
        watched: Sequence[Watched],
        *,
        on_ready: Callable[[], object],
        on_change: Callable[[frozenset[str]], object],
    ) -> None:
        self._watched = watched
        self._on_ready = on_ready
        self._on_change = on_change
        self._untold: frozenset[str] = frozenset()
        self._stopped = False

    def stop(self) -> None:
        """Let `run` return, in a few milliseconds."""
        self._stopped = True

    def is_set(self) -> bool:
        """Whether to stop; first asked when the system watches already."""
        if self._stopped:
            return True
        self._on_ready()
        if self._untold:
            self._on_change(self._untold)
            self._untold = frozenset()
        return False

    def run(self) -> None:
        """Watch until it is stopped; the directories anew when there are others.

        Raises:
            TreeError: The system cannot watch them.
        """
        roots = [
            Watched(root=each.root.resolve(), rules=each.rules)
            for each in self._watched
        ]
        vanished = 0
        while not self._stopped:
            try:
                self._watch(roots)
                vanished = 0
            except FileNotFoundError as error:
                # A directory went away between listing and watching it.
                vanished += 1
                if vanished == _ATTEMPTS:
                    raise _unwatchable(error) from error
            except (OSError, RuntimeError) as error:
                raise _unwatchable(error) from error

    def _watch(self, roots: Sequence[Watched]) -> None:
        """Watch until it is stopped or the directories are others."""
        folders = {str(each.root) for each in roots if each.rules is None}
        for each in roots:
            if each.rules is not None:
                folders.update(folders_inside(str(each.root), each.rules))
        news = watch(
            *sorted(folders),
            watch_filter=None,
            debounce=_DEBOUNCE,
            step=_STEP,
            stop_event=self,
            recursive=False,
            raise_interrupt=False,
        )
        for changes in news:
            paths = frozenset(
                path for _, path in changes if any(_counts(path, r) for r in roots)
            )
            if any(_moves_borders(path, folders) for path in paths):
                # What happens before they are watched would be missed: told then.
                self._untold |= paths
                return
            if paths:
                self._on_change(paths)


def _counts(path: str, watched: Watched) -> bool:
    root = str(watched.root)
    if not path.startswith(f"{root}/"):
        return False
    if watched.rules is None:
        return os.path.dirname(path) == root and not os.path.isdir(path)  # noqa: PTH112, PTH120
    return not why_ignored(root, watched.rules, path[len(root) + 1 :])


def _moves_borders(path: str, folders: set[str]) -> bool:
    """Whether a change makes other directories count than those being watched."""
    if os.path.basename(path) in {AWEIGHIGNORE, GITIGNORE}:  # noqa: PTH119
        return True
    return os.path.isdir(path) or path in folders  # noqa: PTH112


def _unwatchable(error: Exception) -> TreeError:
    return TreeError(f"cannot watch for edits: {error}", hint=_WATCH_LIMIT)
