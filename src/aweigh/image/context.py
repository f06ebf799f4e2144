"""The context of a Dockerfile: its text and the files it may copy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from aweigh.archive.member import Member
from aweigh.image.dockerignore import DockerIgnore
from aweigh.image.sources import Sources, digest_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aweigh.image.steps import DockerfileStep

__all__ = ["read_context"]


def read_context(
    step: DockerfileStep, sources: Sources
) -> tuple[str, tuple[Member, ...]]:
    """Return the Dockerfile's text and the context, at the paths it has there.

    Sockets, FIFOs and devices are left out; symlinks stay symlinks.

    Raises:
        SpecError: The Dockerfile, its ignore file or something in the context is
            missing or cannot be read.
    """
    dockerfile = sources.locate(step.path)
    text = sources.read_any_text(dockerfile)
    context = sources.locate(step.context)
    if not context.is_dir():
        sources.fail_reading(context, NotADirectoryError(20, "no such directory"))
    rules = _rules(dockerfile, context, sources)
    members = sorted(_walk(context, "", rules, sources), key=_by_bytes)
    return text, tuple(members)


def _by_bytes(member: Member) -> bytes:
    return os.fsencode(member.path)


def _rules(dockerfile: Path, context: Path, sources: Sources) -> DockerIgnore:
    """Read ``<Dockerfile>.dockerignore``, else the context's ``.dockerignore``."""
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    for path in (own, context / ".dockerignore"):
        if path.is_file():
            text = sources.read_any_text(path)
            return DockerIgnore.parse(text, where=str(path))
    return DockerIgnore()


def _walk(
    directory: Path, prefix: str, rules: DockerIgnore, sources: Sources
) -> Iterator[Member]:
    try:
        with os.scandir(directory) as found:
            entries = list(found)
    except OSError as exc:
        sources.fail_reading(directory, exc)
    for entry in entries:
        path = prefix + entry.name
        ignored = rules.ignores(path)
        if entry.is_dir(follow_symlinks=False):
            if not ignored:
                yield Member(path=path, kind="directory")
            if not ignored or not rules.prunes(path):
                yield from _walk(directory / entry.name, f"{path}/", rules, sources)
        elif not ignored:
            yield from _leaf(directory / entry.name, entry, path, sources)


def _leaf(
    place: Path, entry: os.DirEntry[str], path: str, sources: Sources
) -> Iterator[Member]:
    if entry.is_symlink():
        try:
            yield Member(path=path, kind="symlink", target=os.readlink(place))  # noqa: PTH115
        except OSError as exc:
            sources.fail_reading(place, exc)
    elif entry.is_file(follow_symlinks=False):
        yield digest_file(sources, place, path)
