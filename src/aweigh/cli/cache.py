"""`aweigh cache`: where things are remembered, what, and how to forget them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aweigh.backends.localdb import open_localdb
from aweigh.cli.output import print_json, readable_time
from aweigh.cli.progress import progress
from aweigh.memory import Table
from aweigh.settings import Settings

if TYPE_CHECKING:
    import argparse

    from aweigh.backends.localdb import LocalDB

__all__ = ["cache"]


async def cache(arguments: argparse.Namespace) -> int:
    """Do one of dir, ls, size, prune, clean."""
    settings = Settings.load()
    if arguments.action == "dir":
        if arguments.json:
            print_json({"dir": str(settings.cache_dir)})
        else:
            print(settings.cache_dir)
        return 0
    async with open_localdb(settings.cache_dir, listener=progress(arguments)) as db:
        match arguments.action:
            case "ls":
                await _list(db, json=arguments.json)
            case "size":
                _report(arguments, "bytes", await db.size())
            case "prune":
                _report(arguments, "removed", await db.prune())
            case _:
                _report(arguments, "removed", await db.clear())
    return 0


def _report(arguments: argparse.Namespace, name: str, value: int) -> None:
    if arguments.json:
        print_json({name: value})
    else:
        print(value)


async def _list(db: LocalDB, *, json: bool) -> None:
    rows = [(table, row) for table in Table for row in await db.rows(table)]
    now = time.time()
    if json:
        print_json(
            {
                "rows": [
                    {
                        "table": str(table),
                        "key": row.key,
                        "size": row.size,
                        "verified_at": row.verified_at,
                        "expires_at": row.expires_at,
                    }
                    for table, row in rows
                ]
            }
        )
        return
    for table, row in rows:
        left = readable_time(max(0.0, row.expires_at - now))
        print(f"{table:11} {row.key[:16]} {row.size:8} bytes, expires in {left}")
