"""Remembered locks: an unchanged spec is never resolved again."""

from __future__ import annotations

import asyncio
import json
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from aweigh.backends.resolver.described import described, with_content
from aweigh.image.digest import members_digest
from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.order import is_python
from aweigh.memory import Record, Table, record_key
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aweigh.image.resolve import Resolver, ResolveRequest
    from aweigh.image.snapshot import Snapshot
    from aweigh.memory import Memory

__all__ = ["RememberingResolver"]

# Raise it when the same request would be answered with another lock.
_FORMAT: Final = "2"
_TTL: Final = 90 * 86400.0


class _Versioned(Protocol):
    async def version(self) -> str: ...


class RememberingResolver:
    """A resolver that asks another one only what it was not asked before.

    Args:
        inner: Who resolves.
        memory: Where locks are kept.
        clock: Seconds since the epoch.
        uv: Whose version is part of the question.
    """

    def __init__(
        self,
        inner: Resolver,
        memory: Memory,
        clock: Callable[[], float],
        uv: _Versioned,
    ) -> None:
        self._inner = inner
        self._memory = memory
        self._clock = clock
        self._uv = uv

    async def resolve(self, request: ResolveRequest, /) -> Lock:
        """Return the remembered lock, or resolve and remember.

        ``upgrade`` always resolves, and replaces what was remembered. A cancelled or
        failed resolution changes nothing.

        Raises:
            ResolveError: No set of versions fits, or an index gave no answer.
            SpecError: A step cannot be resolved for this platform or Python.
        """
        version = await self._uv.version()
        own = await asyncio.to_thread(described, request.snapshot.members)
        key = self._key(request, request.previous, version, own)
        if not request.upgrade:
            row = await self._memory.recall(Table.LOCKS, key)
            lock = _decode(row.value, request) if row else None
            if lock is not None:
                return with_content(lock, request.snapshot.members)
        lock = await self._inner.resolve(request)
        # Preferring what was pinned gives the same lock: the next question is known.
        again = self._key(request, lock.text, version, own)
        await self._memory.remember([self._record(one, lock) for one in (key, again)])
        return lock

    def _record(self, key: str, lock: Lock) -> Record:
        now = self._clock()
        return Record(
            table=Table.LOCKS,
            key=key,
            value=_encode(lock),
            created_at=now,
            verified_at=now,
            expires_at=now + _TTL,
        )

    def _key(
        self,
        request: ResolveRequest,
        previous: str | None,
        version: str,
        own: Mapping[str, Digest],
    ) -> str:
        """Name a question: only what decides the answer, so no files or commands.

        Of the user's own wheels that is what they say they need, not their code.
        """
        parts = [
            part
            for number, step in enumerate(request.spec.steps)
            if is_python(step)
            for part in (
                str(number),
                repr(step),
                _content(request.snapshot, number, own),
            )
        ]
        return record_key(
            *("lock", _FORMAT, version, str(request.platform), request.python),
            *(request.manylinux, _pinned(previous or ""), *parts),
            *(("beneath", request.beneath) if request.beneath else ()),
        )


def _pinned(previous: str) -> str:
    """Return what counts of an earlier lock: a registry hands it back without files."""
    try:
        packages = tomllib.loads(previous).get("packages", [])
        found = [
            [one["name"], one.get("version"), one.get("vcs", {}).get("commit-id")]
            for one in packages
        ]
    except (ValueError, KeyError, AttributeError, TypeError):
        return previous
    return json.dumps(found) if found else ""


def _content(snapshot: Snapshot, step: int, own: Mapping[str, Digest]) -> str:
    """Digest what is read to resolve a step; the code of a project is not."""
    place = f"steps/{step}/"
    return str(
        members_digest(
            replace(member, digest=own.get(member.path, member.digest))
            for member in snapshot.members
            if member.path.startswith(place)
            and not member.path.startswith((f"{place}project/", f"{place}tree/"))
        )
    )


def _encode(lock: Lock) -> bytes:
    wheels = [
        [
            *(one.name, one.version, one.filename, one.url, one.digest.hex),
            *(one.size, one.step, one.first_party),
        ]
        for one in lock.wheels
    ]
    return json.dumps({"text": lock.text, "wheels": wheels}).encode()


def _decode(value: bytes, request: ResolveRequest) -> Lock | None:
    """Read what `_encode` wrote; None when another version wrote something else."""
    try:
        document = json.loads(value)
    except ValueError:
        return None
    match document:
        case {"text": str(text), "wheels": list(rows)}:
            wheels = [_wheel(row) for row in rows]
        case _:
            return None
    found = tuple(one for one in wheels if one is not None)
    if len(found) != len(wheels):
        return None
    return Lock(
        python=request.python, platform=request.platform, wheels=found, text=text
    )


def _wheel(row: object) -> LockedWheel | None:
    match row:
        case [
            str(name),
            str(version),
            str(filename),
            str(url),
            str(digest),
            int() | None as size,
            int(step),
            bool(first_party),
        ]:
            return LockedWheel(
                name=name,
                version=version,
                filename=filename,
                url=url,
                digest=Digest(digest),
                size=size,
                step=step,
                first_party=first_party,
            )
        case _:
            return None
