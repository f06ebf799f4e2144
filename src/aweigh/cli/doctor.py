"""`aweigh doctor`: is everything there that these settings need?"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aweigh.backends.engine import engine_info
from aweigh.backends.localdb import open_localdb
from aweigh.cli.output import print_json, readable_size
from aweigh.errors import AweighError, EngineUnavailableError
from aweigh.events import Warned, silent
from aweigh.image.job import Destination
from aweigh.memory import Record, Table, record_key
from aweigh.oci import Reference
from aweigh.oci.layout import LAYOUT_HOST
from aweigh.settings import Settings
from aweigh.wiring import Backends

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from aweigh.events import Event

__all__ = ["doctor"]

_LOW_DISK = 1024**3
_CLOCK_SKEW = 60
_PROBE = "aweigh-doctor/probe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        ok: Whether it works.
        detail: What was found.
        hint: What mends it, when it does not work.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""


async def doctor(arguments: argparse.Namespace) -> int:
    """Look at everything, print it, and fail when something needed is broken."""
    settings = Settings.load()
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(
            open_localdb(settings.cache_dir, listener=silent)
        )
        backends = Backends(settings, memory, silent, stack)
        findings = [
            _python(),
            await _looked("engine", lambda: _engine(backends, settings)),
            await _looked("registry", lambda: _registry(backends, settings)),
            await _looked("store", lambda: _store(backends)),
            await _cache(settings),
            await _clock(settings),
            _disk(settings),
        ]
    if arguments.json:
        print_json(
            {
                finding.name: {
                    "ok": finding.ok,
                    "detail": finding.detail,
                    "hint": finding.hint,
                }
                for finding in findings
            }
        )
    else:
        for finding in findings:
            print(
                f"{'ok' if finding.ok else 'FAIL':4} {finding.name:9} {finding.detail}"
            )
            if not finding.ok:
                print(f"     {'':9} hint: {finding.hint}")
    return 0 if all(finding.ok for finding in findings) else 1


async def _looked(name: str, look: Callable[[], Awaitable[str]]) -> Finding:
    try:
        return Finding(name=name, ok=True, detail=await look())
    except AweighError as error:
        return Finding(name=name, ok=False, detail=str(error), hint=error.hint)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(
        name="python", ok=True, detail=f"{version}, SQLite {sqlite3.sqlite_version}"
    )


async def _engine(backends: Backends, settings: Settings) -> str:
    match Destination.of(settings).local:
        case ("layout",):
            return 'not needed: builder = "assemble"'
        case ("engine",):
            return await _running_engine(backends)
        case _:
            try:
                return await _running_engine(backends)
            except EngineUnavailableError as error:
                return f"{error}: only what executes nothing can be built"


async def _running_engine(backends: Backends) -> str:
    info = await engine_info(await backends.engine())
    if not info.has_buildkit:
        raise AweighError(
            f"the engine at {info.host} ({info.version}) has no BuildKit",
            hint="install Docker Engine 20.10 or newer",
        )
    return (
        f"{info.version} (API {info.api_version}) at {info.host}, {info.platform}, "
        f"{info.storage_driver}, BuildKit"
    )


async def _registry(backends: Backends, settings: Settings) -> str:
    """Try what a push needs: open an upload in a repository of our own, drop it."""
    prefix = settings.registry
    if prefix is None:
        return f"none set: images stay in {await _local(backends, settings)}"
    registry = await backends.registry()
    probe = Reference.parse(f"{prefix.removesuffix('/')}/{_PROBE}")
    known = await backends.credentials.credential(probe.registry)
    who = known.source if known is not None else "no credentials"
    if not await registry.can_push(probe):
        raise AweighError(
            f"{prefix} does not let us push ({who})",
            hint=f"docker login {probe.registry}",
        )
    return f"{prefix} lets us push ({who})"


async def _local(backends: Backends, settings: Settings) -> str:
    """Name who holds images without a registry; a layout has to be readable."""
    local = Destination.of(settings).local
    if local == ("engine",):
        return "the engine"
    await backends.layout.head_manifest(Reference.parse(f"{LAYOUT_HOST}/{_PROBE}:1"))
    place = str(settings.image_dir)
    return place if local == ("layout",) else f"the engine, or {place} without one"


async def _store(backends: Backends) -> str:
    store = await backends.store()
    await store.head("aweigh-doctor")
    return f"{store.url} answers"


async def _cache(settings: Settings) -> Finding:
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
    if recalled is not None and not faults:
        detail = f"{settings.cache_dir}, {size}"
        return Finding(name="cache", ok=True, detail=detail)
    return Finding(
        name="cache",
        ok=False,
        detail="; ".join(fault.message for fault in faults) or "keeps nothing",
        hint=faults[0].hint if faults else "set AWEIGH_CACHE_DIR to a local directory",
    )


async def _clock(settings: Settings) -> Finding:
    """Compare the clock with what is remembered: time only goes forward."""
    async with open_localdb(settings.cache_dir, listener=silent) as db:
        rows = [row for table in Table for row in await db.rows(table)]
    now = datetime.now(UTC)
    ahead = max((row.verified_at - now.timestamp() for row in rows), default=0.0)
    return Finding(
        name="clock",
        ok=ahead <= _CLOCK_SKEW,
        detail=f"{now:%Y-%m-%d %H:%M:%S} UTC"
        + (f", {ahead:.0f} s behind what is remembered" if ahead > _CLOCK_SKEW else ""),
        hint="set the clock; if it is right now, run: aweigh cache clean",
    )


def _disk(settings: Settings) -> Finding:
    folder = settings.cache_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding(
        name="disk",
        ok=free >= _LOW_DISK,
        detail=f"{readable_size(free)} free at {folder}",
        hint="make room, or set AWEIGH_CACHE_DIR to a larger disk",
    )
