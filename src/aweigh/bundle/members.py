"""A tree's entries as members of an archive: of one for other tools, or of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.archive.member import Member, with_directories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.tree.entry import Entry
    from aweigh.tree.scan import Tree

__all__ = ["archive_members", "layer_members"]


def archive_members(tree: Tree, directory: str = "") -> Iterator[Member]:
    """List a tree's entries below a directory, with all directories they are in.

    Each file is read only when its member's content is, and must then be what the
    tree says of it (`aweigh.archive.content`): `ChangedError` otherwise. They come in
    the order of their paths' bytes, each directory before the first thing in it.

    Args:
        tree: What goes in.
        directory: Relative, with ``/`` between names; empty for none.
    """
    above = f"{directory}/" if directory else ""
    return with_directories(_member(tree, above, entry) for entry in tree.entries)


def layer_members(tree: Tree, directory: str) -> Iterator[Member]:
    """List a tree as a layer of an image: `aweigh.archive.tar.tar_chunks` writes it.

    Everything belongs to root and has the time of all our archives; directories have
    mode 0755, files 0644 or 0755. The directories above are included, as in every
    layer of ours. Iterate in a worker thread.

    Args:
        tree: What goes in.
        directory: Absolute path in the image, such as ``/app``.
    """
    return archive_members(tree, directory.strip("/"))


def _member(tree: Tree, above: str, entry: Entry) -> Member:
    is_file = entry.digest is not None
    return Member(
        path=above + entry.path,
        kind=entry.kind.value,
        executable=entry.executable,
        size=entry.size,
        target=entry.target,
        source=tree.source(entry) if is_file else None,
        digest=entry.digest,
    )
