"""Secrets as files in a container: written before it starts, read to compare."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from aweigh.backends.engine.target.docker.faults import TARGET
from aweigh.errors import EngineError, TargetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aweigh.backends.engine.client import Engine

__all__ = ["read_secrets", "write_secrets"]

_DIRECTORY = "run/secrets"
_NOT_FOUND = 404
_IDLE_SECONDS = 30.0


async def write_secrets(
    engine: Engine, container: str, secrets: Mapping[str, str], *, user: str
) -> None:
    """Put each secret in a file that only the container's user can read.

    They go into the container's own layer of the file system, and are gone with it:
    what the engine tells about the container, its image and its logs has none.

    Args:
        engine: Where the container is, created and not yet started.
        container: Its name.
        secrets: Contents by file name.
        user: Whom the container runs as, as its image says it.

    Raises:
        TargetError: A name is none of a file.
        EngineError: The engine refused.
    """
    if not secrets:
        return
    for name in secrets:
        _check_name(name)
    owner = await _user_id(engine, container, user.partition(":")[0])
    archive = _archive(secrets, owner)

    async def body() -> AsyncIterator[bytes]:
        yield archive

    await engine.stream(
        "PUT",
        f"containers/{container}/archive",
        lambda _piece: None,
        idle=_IDLE_SECONDS,
        params={"path": "/", "noOverwriteDirNonDir": "1"},
        body=body(),
        headers={"Content-Type": "application/x-tar"},
    )


async def read_secrets(engine: Engine, container: str) -> dict[str, str]:
    """Return the secrets that a container was given.

    Raises:
        EngineError: The engine is missing, or refuses.
    """
    files = await _read_files(engine, container, f"/{_DIRECTORY}")
    return {name.rpartition("/")[2]: text for name, text in files.items()}


def _check_name(name: str) -> None:
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise TargetError(
            f"{name!r} is no name for a secret: it becomes a file in /{_DIRECTORY}",
            hint="name it with letters, digits, dots, dashes and underscores",
            target=TARGET,
        )


def _archive(secrets: Mapping[str, str], owner: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        directory = tarfile.TarInfo(_DIRECTORY)
        directory.type, directory.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(directory)
        for name, text in secrets.items():
            content = text.encode()
            member = tarfile.TarInfo(f"{_DIRECTORY}/{name}")
            member.size, member.mode, member.uid = len(content), 0o400, owner
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


async def _user_id(engine: Engine, container: str, user: str) -> int:
    if not user or user.isdecimal():
        return int(user or 0)
    files = await _read_files(engine, container, "/etc/passwd")
    for line in "\n".join(files.values()).splitlines():
        name, *fields = line.split(":")
        if name == user and len(fields) > 1 and fields[1].isdecimal():
            return int(fields[1])
    # The engine will not start it either, and says so.
    return 0


async def _read_files(engine: Engine, container: str, path: str) -> dict[str, str]:
    try:
        async with engine.listen(
            "GET", f"containers/{container}/archive", params={"path": path}
        ) as pieces:
            content = b"".join([piece async for piece in pieces])
    except EngineError as exc:
        if exc.status == _NOT_FOUND:
            return {}
        raise
    files: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                files[member.name] = file.read().decode(errors="replace")
    return files
