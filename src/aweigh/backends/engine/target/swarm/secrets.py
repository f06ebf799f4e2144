"""Secrets of the swarm: made for a task or a service, and gone with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import uuid
from typing import TYPE_CHECKING, Any

from aweigh.backends.engine.target.swarm.faults import not_startable
from aweigh.backends.engine.target.swarm.spec import SecretFile
from aweigh.concurrency.settled import settled
from aweigh.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.target.labels import Labels

__all__ = ["SwarmSecrets"]

_FILE_LABEL = "aweigh.file"
_PRINT_LABEL = "aweigh.print"
_SALT_BYTES = 16
_LIMIT = 500 * 1024
_GONE = 404


class SwarmSecrets:
    """The secrets of one namespace.

    Their names are random: nothing tells what is in them, and two that are made at
    once never meet. A salted scrypt digest in a label (RFC 7914) recognises a value
    that is the same as before, so that a second deploy of the same restarts nothing.
    """

    def __init__(self, engine: Engine, labels: Labels) -> None:
        self._engine = engine
        self._labels = labels

    async def make(
        self, kind: str, name: str, secrets: Mapping[str, str]
    ) -> tuple[SecretFile, ...]:
        """Make a secret of each file; cancelled or failed, those made are labelled.

        Raises:
            TargetError: A value is empty or too big for a swarm.
            EngineError: The engine is missing, no manager, or refuses.
        """
        return tuple(
            [
                await self._create(kind, name, file, value)
                for file, value in sorted(secrets.items())
            ]
        )

    async def reuse(
        self, name: str, secrets: Mapping[str, str], used: Iterable[str]
    ) -> tuple[SecretFile, ...]:
        """Return secrets of a service with these values: its own, or new ones.

        Args:
            name: The service's.
            secrets: Contents by file name.
            used: The ids of the secrets it has now.
        """
        if not secrets:
            return ()
        known: dict[str, tuple[SecretFile, str]] = {}
        wanted = set(used)
        for one in await self._listed(name):
            labels = one["Spec"].get("Labels") or {}
            if one["ID"] in wanted and _FILE_LABEL in labels:
                had = SecretFile(labels[_FILE_LABEL], one["ID"], one["Spec"]["Name"])
                known[had.file] = (had, labels.get(_PRINT_LABEL, ""))
        found: list[SecretFile] = []
        for file, value in sorted(secrets.items()):
            old, fingerprint = known.get(file, (None, ""))
            if old is not None and await asyncio.to_thread(_fits, value, fingerprint):
                found.append(old)
            else:
                found.append(await self._create("deploy", name, file, value))
        return tuple(found)

    async def remove(self, ids: Iterable[str]) -> None:
        """Remove some; those that a service still uses stay."""
        for one in ids:
            try:
                await self._engine.send("DELETE", f"secrets/{one}")
            except EngineError as exc:
                if exc.status != _GONE and "in use" not in str(exc):
                    raise

    async def remove_of(self, name: str | None = None) -> None:
        """Remove all that no service uses, of one name or of the namespace."""
        await self.remove([one["ID"] for one in await self._listed(name)])

    async def _listed(self, name: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._engine.send(
            "GET", "secrets", params=self._labels.filters(name)
        )
        return found

    async def _create(self, kind: str, name: str, file: str, value: str) -> SecretFile:
        _check(file, value)
        secret = f"{self._labels.namespace}-{uuid.uuid4().hex}"
        mark = await asyncio.to_thread(_fingerprint, value, os.urandom(_SALT_BYTES))
        labels = self._labels.of(kind, name)
        document = {
            "Name": secret,
            "Labels": labels | {_FILE_LABEL: file, _PRINT_LABEL: mark},
            "Data": base64.b64encode(value.encode()).decode(),
        }
        # Not interrupted: who removes by label could come before it is there.
        made = await settled(
            self._engine.send("POST", "secrets/create", document=document)
        )
        return SecretFile(file, str(made["ID"]), secret)


def _check(file: str, value: str) -> None:
    if not file or file in {".", ".."} or "/" in file or "\0" in file:
        raise not_startable(
            f"{file!r} is no name for a secret: it becomes a file in /run/secrets",
            hint="name it with letters, digits, dots, dashes and underscores",
        )
    if not 0 < len(value.encode()) < _LIMIT:
        raise not_startable(
            f"the secret {file!r} is empty or larger than 500 KB",
            hint="a swarm keeps no such secrets: leave it out, or mount a volume",
        )


def _fingerprint(value: str, salt: bytes) -> str:
    digest = hashlib.scrypt(value.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    return f"{salt.hex()}:{digest.hex()}"


def _fits(value: str, fingerprint: str) -> bool:
    salt, _, _ = fingerprint.partition(":")
    if len(salt) != 2 * _SALT_BYTES:
        return False
    return hmac.compare_digest(_fingerprint(value, bytes.fromhex(salt)), fingerprint)
