"""Credentials of registries, from the files and helpers that Docker and Podman use."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.backends.credentials.helper import IDENTITY_USER, HelperError, ask_helper
from aweigh.events import Warned, silent
from aweigh.image.credential import Credential
from aweigh.oci.reference import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from aweigh.events import Listener

__all__ = ["DockerCredentials"]

_HUB_KEY = "https://index.docker.io/v1/"
_HUB_NAMES = (_HUB_KEY, "index.docker.io", DOCKER_HUB, "registry-1.docker.io")
_FILE_LIMIT = 4 << 20
# Helpers hand out passwords that live for hours; a `docker login` is seen after this.
_REMEMBER_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Config:
    """What one file says.

    Attributes:
        place: The file, for messages.
        auths: By key: what the file itself holds.
        helpers: By registry: the helper to ask.
        store: The helper to ask for all others, or empty.
    """

    place: str
    auths: Mapping[str, object] = field(repr=False)
    helpers: Mapping[str, object]
    store: str


class DockerCredentials:
    """What ``docker login`` and ``podman login`` left behind.

    Files, in this order: ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``,
    ``$REGISTRY_AUTH_FILE``, ``$XDG_RUNTIME_DIR/containers/auth.json``,
    ``$XDG_CONFIG_HOME`` or ``~/.config`` with ``/containers/auth.json``. In each:
    ``credHelpers`` of the registry, ``credsStore``, ``auths``. The first one that has
    something for the registry decides; a source that is broken is told to the listener
    and skipped. Answers are remembered for five minutes.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        home: Path,
        *,
        listener: Listener = silent,
        helper_seconds: float = 10.0,
    ) -> None:
        """Read nothing yet.

        Args:
            environ: The environment; helpers run in it.
            home: The home directory.
            listener: Hears about sources that do not work.
            helper_seconds: How long a helper may take.
        """
        self._environ = dict(environ)
        self._home = home
        self._listener = listener
        self._helper_seconds = helper_seconds
        self._known: dict[str, tuple[float, Credential | None]] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def credential(self, registry: str, /) -> Credential | None:
        """Return what to present to ``host[:port]``, or None to stay anonymous.

        Those who ask for one registry at once share one look-up. Cancelling stops a
        helper that is running.
        """
        async with self._locks[registry]:
            known = self._known.get(registry)
            if known is not None and known[0] > time.monotonic():
                return known[1]
            found = await self._find(registry)
            self._known[registry] = (time.monotonic() + _REMEMBER_SECONDS, found)
            return found

    async def _find(self, registry: str) -> Credential | None:
        for config in await asyncio.to_thread(self._load):
            match config:
                case Warned() as problem:
                    self._listener(problem)
                case _Config():
                    found = await self._from_helpers(config, registry)
                    found = found or self._from_file(config, registry)
                    if found is not None:
                        return found
        return None

    async def _from_helpers(self, config: _Config, registry: str) -> Credential | None:
        named = (config.helpers.get(name) for name in _names(registry))
        helpers = [next((name for name in named if name), ""), config.store]
        server = _HUB_KEY if registry == DOCKER_HUB else registry
        for helper in dict.fromkeys(filter(None, helpers)):
            try:
                found = await ask_helper(
                    str(helper),
                    server,
                    environ=self._environ,
                    seconds=self._helper_seconds,
                )
            except HelperError as error:
                self._listener(
                    Warned(
                        message=f"no credential for {registry} from the helper in"
                        f" {config.place}: {error}",
                        hint="make this work: echo "
                        f"{server} | docker-credential-{helper} get",
                    )
                )
                continue
            if found is not None:
                return found
        return None

    def _from_file(self, config: _Config, registry: str) -> Credential | None:
        entry = _entry(config.auths, registry)
        if entry is None:
            return None
        try:
            return _read_entry(entry, config.place)
        except (ValueError, TypeError, binascii.Error):
            # The cause is left out: it may quote the entry.
            self._listener(
                Warned(
                    message=f"the entry for {registry} in {config.place} is damaged",
                    hint=f"docker login {registry}",
                )
            )
            return None

    def _load(self) -> list[_Config | Warned]:
        loaded: list[_Config | Warned] = []
        for path in dict.fromkeys(self._files()):
            place = self._shown(path)
            try:
                with path.open("rb") as file:
                    loaded.append(_parse(file.read(_FILE_LIMIT), place))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError, TypeError, RecursionError) as error:
                reason = getattr(error, "strerror", None) or "it is no JSON object"
                loaded.append(
                    Warned(
                        message=f"cannot read credentials from {place}: {reason}",
                        hint="repair the file or remove it, then docker login",
                    )
                )
        return loaded

    def _files(self) -> Iterator[Path]:
        docker = self._environ.get("DOCKER_CONFIG")
        yield (self._path(docker) if docker else self._home / ".docker") / "config.json"
        if named := self._environ.get("REGISTRY_AUTH_FILE"):
            yield self._path(named)
        if runtime := self._environ.get("XDG_RUNTIME_DIR"):
            yield self._path(runtime) / "containers" / "auth.json"
        config = self._environ.get("XDG_CONFIG_HOME")
        base = self._path(config) if config else self._home / ".config"
        yield base / "containers" / "auth.json"

    def _path(self, text: str) -> Path:
        return self._home / text

    def _shown(self, path: Path) -> str:
        if path.is_relative_to(self._home):
            return f"~/{path.relative_to(self._home)}"
        return str(path)


def _parse(content: bytes, place: str) -> _Config:
    document = json.loads(content)
    if not isinstance(document, dict):
        raise TypeError
    auths = document.get("auths")
    helpers = document.get("credHelpers")
    return _Config(
        place=place,
        auths=auths if isinstance(auths, dict) else {},
        helpers=helpers if isinstance(helpers, dict) else {},
        store=str(document.get("credsStore") or ""),
    )


def _names(registry: str) -> tuple[str, ...]:
    return _HUB_NAMES if registry == DOCKER_HUB else (registry,)


def _entry(auths: Mapping[str, object], registry: str) -> Mapping[str, object] | None:
    """Find a registry among keys such as ``host``, ``https://host/v1/``, ``host/x``."""
    names = _names(registry)
    exact = [auths.get(form) for name in names for form in (name, f"https://{name}")]
    loose = [value for key, value in auths.items() if _host(key) in names]
    for entry in (*exact, *loose):
        if isinstance(entry, dict) and entry:
            return entry
    return None


def _host(key: str) -> str:
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _read_entry(entry: Mapping[str, object], place: str) -> Credential | None:
    username = str(entry.get("username") or "")
    password = str(entry.get("password") or "")
    encoded = entry.get("auth")
    if encoded:
        decoded = base64.b64decode(str(encoded), validate=True).decode()
        username, colon, password = decoded.rstrip("\0").partition(":")
        if not colon:
            raise ValueError
    identity = str(entry.get("identitytoken") or "")
    if username == IDENTITY_USER and not identity:
        username, password, identity = "", "", password
    if identity:
        return Credential(username=username, identity_token=identity, source=place)
    if username or password:
        return Credential(username=username, password=password, source=place)
    return None
