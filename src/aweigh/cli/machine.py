"""What `aweigh doctor` looks at on this machine: Python, uv, cache, clock, disk."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
import time
from dataclasses import fields
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from aweigh.backends.localdb import open_localdb
from aweigh.backends.localdb.place import is_shared
from aweigh.backends.resolver.uv import Uv
from aweigh.cli.finding import Finding
from aweigh.cli.output import readable_size
from aweigh.errors import ResolveError
from aweigh.events import Warned, silent
from aweigh.memory import Record, Table, record_key
from aweigh.settings import Settings, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aweigh.events import Event

__all__ = ["cache", "clock", "disk", "python", "uv", "variables"]

_LOW_DISK: Final = 1024**3
_CLOCK_SKEW: Final = 60
_NEAR: Final = 0.85
_ELSEWHERE: Final = "export AWEIGH_CACHE_DIR=/a/local/directory/of/yours"


def python() -> Finding:
    """Name what runs us."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="python", detail=f"{version}, SQLite {sqlite3.sqlite_version}")


def variables() -> Iterator[Finding]:
    """Name a variable that was most likely meant to be a setting."""
    known = {f"AWEIGH_{field.name.upper()}" for field in fields(Settings)}
    for name in sorted(environment().keys() - known):
        near = get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near and name.startswith("AWEIGH_"):
            yield Finding(
                name="variable",
                detail=f"{name} is no setting, so nobody looks at it",
                level="note",
                hint=f"export {near[0]}=..., if that was meant",
            )


async def uv() -> Finding:
    """Ask uv for its version: it pins and installs the packages of images."""
    try:
        version = await Uv(environment()).version()
    except ResolveError as error:
        return Finding(name="uv", detail=str(error), level="FAIL", hint=error.hint)
    return Finding(name="uv", detail=version)


async def cache(settings: Settings) -> Finding:
    """Write to the database and read it back; its faults are warnings elsewhere."""
    faults: list[Warned] = []

    def hear(event: Event, /) -> None:
        if isinstance(event, Warned):
            faults.append(event)

    key = record_key("doctor")
    now = time.time()
    probe = Record(
        table=Table.BASE_FACTS,
        key=key,
        value=b"doctor",
        created_at=now,
        verified_at=now,
        expires_at=now + 60,
    )
    async with open_localdb(settings.cache_dir, listener=hear) as db:
        await db.remember([probe])
        recalled = await db.recall(Table.BASE_FACTS, key)
        await db.forget(Table.BASE_FACTS, [key])
        size = readable_size(await db.size())
    where = f"{settings.cache_dir}, {size}"
    if recalled is None or faults:
        said = "; ".join(fault.message for fault in faults)
        hint = faults[0].hint if faults else _ELSEWHERE
        detail = said or f"{settings.cache_dir} keeps nothing"
        return Finding(name="cache", detail=detail, level="FAIL", hint=hint)
    if await asyncio.to_thread(is_shared, settings.cache_dir):
        detail = f"{where}, on a network or shared file system: correct, but slow"
        return Finding(name="cache", detail=detail, level="note", hint=_ELSEWHERE)
    return Finding(name="cache", detail=where)


async def clock(settings: Settings) -> Finding:
    """Compare the clock with what is remembered: time only goes forward."""
    async with open_localdb(settings.cache_dir, listener=silent) as db:
        rows = [row for table in Table for row in await db.rows(table)]
    now = datetime.now(UTC)
    ahead = max((row.verified_at - now.timestamp() for row in rows), default=0.0)
    detail = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if ahead <= _CLOCK_SKEW:
        return Finding(name="clock", detail=detail)
    return Finding(
        name="clock",
        detail=f"{detail}, {ahead:.0f} s behind what is remembered",
        level="FAIL",
        hint="timedatectl set-ntp true; if it is right now, aweigh cache clean",
    )


def disk(settings: Settings) -> Iterator[Finding]:
    """Look for room where we write: once, unless data is on another disk."""
    seen: set[int] = set()
    for name, folder, variable in (
        ("disk", settings.cache_dir, "AWEIGH_CACHE_DIR"),
        ("data disk", settings.data_dir, "AWEIGH_DATA_DIR"),
    ):
        place = folder.absolute()
        while not place.exists():
            place = place.parent
        device = place.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(place).free
        low = free < _LOW_DISK
        yield Finding(
            name=name,
            detail=f"{readable_size(free)} free at {place}",
            level="FAIL" if low else "ok",
            hint=f"make room, or export {variable}=/on/a/larger/disk" if low else "",
        )
