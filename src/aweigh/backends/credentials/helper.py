"""Asks a ``docker-credential-*`` program (docker-credential-helpers protocol)."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from aweigh.concurrency.programs import end, started
from aweigh.image.credential import Credential

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IDENTITY_USER", "HelperError", "ask_helper"]

# The user name that marks the secret as an identity token.
IDENTITY_USER = "<token>"
_OUTPUT_LIMIT = 64 << 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_NOT_FOUND = b"credentials not found"


class HelperError(Exception):
    """A helper that gave no answer; the message holds nothing it wrote."""


async def ask_helper(
    helper: str, server: str, *, environ: Mapping[str, str], seconds: float
) -> Credential | None:
    """Return what a helper knows about a registry, or None when it knows nothing.

    Args:
        helper: Its name, without ``docker-credential-``.
        server: What to ask about.
        environ: Its environment; ``PATH`` says where it is.
        seconds: How long it may take.

    Raises:
        HelperError: It is missing, fails, takes too long or writes something else.
            Cancelling kills it, with everything it started.
    """
    # The name comes from a file and becomes a program: it must not become a path.
    if not _NAME.fullmatch(helper):
        raise HelperError("its name is not a plain word")
    program = f"docker-credential-{helper}"
    path = await asyncio.to_thread(shutil.which, program, path=environ.get("PATH", ""))
    if path is None:
        raise HelperError(f"{program} is not in PATH")
    try:
        async with asyncio.timeout(seconds):
            code, output = await _run(path, server, environ)
    except TimeoutError:
        raise HelperError(f"{program} gave no answer in {seconds:g} s") from None
    except OSError as error:
        raise HelperError(f"{program} does not run ({error.strerror})") from error
    if code != 0:
        if _NOT_FOUND in output:
            return None
        raise HelperError(f"{program} failed with exit code {code}")
    if len(output) > _OUTPUT_LIMIT:
        raise HelperError(f"{program} wrote more than {_OUTPUT_LIMIT} bytes")
    return _read(program, output)


async def _run(path: str, server: str, environ: Mapping[str, str]) -> tuple[int, bytes]:
    process = await started(
        asyncio.create_subprocess_exec(
            path,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        with suppress(ConnectionError):
            process.stdin.write(f"{server}\n".encode())
            await process.stdin.drain()
        process.stdin.close()
        output = bytearray()
        while len(output) <= _OUTPUT_LIMIT:
            block = await process.stdout.read(_OUTPUT_LIMIT)
            if not block:
                return await process.wait(), bytes(output)
            output += block
        return 0, bytes(output)
    finally:
        await end(process)
        # Nothing else closes the pipes of a program whose children live on.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001


def _read(program: str, output: bytes) -> Credential | None:
    try:
        document = json.loads(output)
        username, secret = document["Username"], document["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        username = secret = None
    if not isinstance(username, str) or not isinstance(secret, str):
        raise HelperError(f"{program} wrote no credential")
    if not secret:
        return None
    if username == IDENTITY_USER:
        return Credential(identity_token=secret, source=program)
    return Credential(username=username, password=secret, source=program)
