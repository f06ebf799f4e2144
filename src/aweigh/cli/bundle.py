"""`aweigh bundle`, `aweigh prepare` and `aweigh fetch`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.bundle.form import Form
from aweigh.bundle.scanner import Scanner, bundle_rules
from aweigh.cli.load import load_spec
from aweigh.cli.output import (
    bundle_json,
    image_json,
    print_json,
    readable_entries,
    readable_size,
)
from aweigh.cli.view import view
from aweigh.errors import ChangedError
from aweigh.session import open_session
from aweigh.settings import Settings
from aweigh.tree.builtin import BUILTIN_EXCLUDES, DIRECTORY_MARKS
from aweigh.tree.entry import Kind
from aweigh.tree.scan import scan

if TYPE_CHECKING:
    import argparse

    from aweigh.tree.rules import Rules
    from aweigh.tree.scan import Tree

__all__ = ["bundle", "fetch", "prepare"]


async def bundle(arguments: argparse.Namespace) -> int:
    """Upload a directory's bundle and print its URI; or show or write what is in it."""
    if arguments.show_excludes:
        _print_excludes(as_json=arguments.json)
        return 0
    if arguments.dry_run:
        settings = await asyncio.to_thread(Settings.load)
        root, rules = Path(arguments.directory), _rules(arguments, settings)
        # Without a limit: who exceeds it wants to see by what.
        tree = await asyncio.to_thread(scan, root, rules, follow=arguments.follow)
        _print_tree(tree, as_json=arguments.json)
        return 0
    if arguments.output is not None:
        return await _write(arguments, Path(arguments.output))
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            made = await session.upload_bundle(
                arguments.directory,
                include=arguments.include,
                exclude=arguments.exclude,
                follow=arguments.follow,
                form=arguments.form,
            )
    if arguments.json:
        print_json(bundle_json(made))
    else:
        print(made)
    return 0


async def _write(arguments: argparse.Namespace, path: Path) -> int:
    """Write an archive to a file, which is never in itself."""
    from aweigh.bundle.archives import write_archive

    form = Form.of_file(path.name)
    settings = await asyncio.to_thread(Settings.load)
    scanner = Scanner(
        root=Path(arguments.directory),
        rules=_rules(arguments, settings, path),
        follow=arguments.follow,
        size_limit=settings.bundle_size_limit,
    )
    with view(arguments) as seen:
        for again in (True, True, True, False):
            tree = (await scanner.run(None, seen)).tree
            try:
                size = await write_archive(tree, form, path)
                break
            except ChangedError:
                if not again:
                    raise
    if arguments.json:
        document = {"path": str(path), "bytes": size}
        print_json({**document, "files": len(tree.entries), "size": tree.size})
    else:
        print(path)
    return 0


def _rules(arguments: argparse.Namespace, settings: Settings, *ours: Path) -> Rules:
    return bundle_rules(
        Path(arguments.directory),
        tuple(arguments.include),
        tuple(arguments.exclude),
        (settings.cache_dir, settings.data_dir, *ours),
    )


async def prepare(arguments: argparse.Namespace) -> int:
    """Ensure an image and upload a bundle side by side, and print both."""
    spec = await asyncio.to_thread(load_spec, arguments.spec)
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            ready = await session.prepare(spec, arguments.directory)
    if arguments.json:
        print_json(
            {
                "image": image_json(ready.image),
                "bundle": bundle_json(ready.bundle),
                "seconds": ready.seconds,
            }
        )
    else:
        print(ready.image)
        print(ready.bundle)
    return 0


async def fetch(arguments: argparse.Namespace) -> int:
    """Put a bundle's files into a directory and print it."""
    with view(arguments) as seen:
        async with open_session(listener=seen) as session:
            path = await session.fetch_bundle(arguments.uri, arguments.destination)
    if arguments.json:
        print_json({"path": str(path)})
    else:
        print(path)
    return 0


def _print_tree(tree: Tree, *, as_json: bool) -> None:
    """List what goes in and what stays out, largest first."""
    entries = sorted(tree.entries, key=lambda entry: (-entry.size, entry.path))
    skipped = sorted(tree.skipped, key=lambda out: (-out.size, out.path))
    if as_json:
        print_json(
            {
                "entries": [
                    {"path": entry.path, "kind": str(entry.kind), "size": entry.size}
                    for entry in entries
                ],
                "skipped": [
                    {"path": out.path, "rule": out.rule, "size": out.size}
                    for out in skipped
                ],
                "size": tree.size,
            }
        )
        return
    for entry in entries:
        mark = {Kind.FILE: "", Kind.DIRECTORY: "/", Kind.SYMLINK: " (link)"}
        print(
            f"{readable_size(entry.size):>10}  {_shown(entry.path)}{mark[entry.kind]}"
        )
    print(f"in: {readable_entries(len(entries))}, {readable_size(tree.size)}")
    for out in skipped:
        print(f"{readable_size(out.size):>10}  {_shown(out.path)}  <- {out.rule}")
    print(f"left out: {len(skipped)}")


def _print_excludes(*, as_json: bool) -> None:
    """List the built-in rules."""
    from aweigh.cli.table import print_table

    if as_json:
        print_json(
            {
                "patterns": [
                    {"pattern": each.pattern, "reason": each.reason}
                    for each in BUILTIN_EXCLUDES
                ],
                "directories_with": list(DIRECTORY_MARKS),
            }
        )
        return
    rows = [(each.pattern, each.reason) for each in BUILTIN_EXCLUDES]
    why = "a virtual environment or a cache, whatever its name"
    rows.extend((f"*/ with {mark}", why) for mark in DIRECTORY_MARKS)
    print_table(("left out", "because"), rows)


def _shown(path: str) -> str:
    """Escape what a terminal could misread."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
