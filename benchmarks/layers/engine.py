"""As much of an engine's client as the peers need: BuildKit builds, pushes and runs."""

from __future__ import annotations

import base64
import io
import json
import socket
import tarfile
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Engine", "context"]

_ANONYMOUS: Final = base64.urlsafe_b64encode(b"{}").decode()
_SECONDS: Final = 1800.0


class Engine(HTTPConnection):
    """Speaks the Docker Engine API over a socket, one request at a time."""

    def __init__(self, url: str) -> None:
        """Speak with the engine at ``unix:///path``."""
        super().__init__("engine", timeout=_SECONDS)
        self._path = url.removeprefix("unix://")

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> bytes:
        """Send one request and return the whole answer.

        Raises:
            RuntimeError: The engine refused.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.request(method, path, body, sent)
            answer = self.getresponse()
            content = answer.read()
        finally:
            self.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {content.decode(errors='replace')}")
        return content

    def build(
        self, name: str, tar: bytes, arguments: Mapping[str, str] | None = None
    ) -> None:
        """Build with BuildKit and keep the image under a name.

        Raises:
            RuntimeError: The build failed.
        """
        query = {"version": 2, "t": name, "networkmode": "host"}
        query["buildargs"] = json.dumps(dict(arguments or {}))
        path = f"/build?{urlencode(query)}"
        _last(self.ask("POST", path, tar, Content_Type="application/x-tar"), "ID")

    def push(self, name: str) -> str:
        """Push an image and return its digest, as the registry computed it.

        Raises:
            RuntimeError: The push failed.
        """
        repository, _, tag = name.rpartition(":")
        path = f"/images/{repository}/push?tag={tag}"
        answer = self.ask("POST", path, X_Registry_Auth=_ANONYMOUS)
        return _last(answer, "Digest")

    def pull(self, name: str) -> None:
        """Pull an image by digest."""
        path = f"/images/create?{urlencode({'fromImage': name})}"
        answer = self.ask("POST", path, X_Registry_Auth=_ANONYMOUS)
        assert b'"error"' not in answer, answer

    def run(self, image: str, code: str) -> tuple[float, str]:
        """Run Python in a fresh container; return seconds of it and what it wrote."""
        config = {
            "Image": image,
            "Cmd": ["python", "-c", code],
            "Tty": True,
            "HostConfig": {"NetworkMode": "none"},
        }
        body = json.dumps(config).encode()
        began = time.perf_counter()
        kind = "application/json"
        made = self.ask("POST", "/containers/create", body, Content_Type=kind)
        place = f"/containers/{json.loads(made)['Id']}"
        try:
            self.ask("POST", f"{place}/start")
            self.ask("POST", f"{place}/wait")
            seconds = time.perf_counter() - began
            said = self.ask("GET", f"{place}/logs?stdout=1&stderr=1").decode()
        finally:
            self.ask("DELETE", f"{place}?force=1")
        return seconds, said

    def remove(self, name: str) -> None:
        """Remove an image."""
        self.ask("DELETE", f"/images/{name}?force=1")

    def forget(self, token: str) -> int:
        """Remove the build cache whose commands say a token; return its bytes."""
        freed = 0
        while found := self._removable(token):
            round_freed = 0
            for record in found:
                filters = quote(json.dumps({"id": [record]}))
                answer = self.ask("POST", f"/build/prune?all=1&filters={filters}")
                round_freed += json.loads(answer)["SpaceReclaimed"]
            if not round_freed and self._removable(token) == found:
                break
            freed += round_freed
        return freed

    def prune(self) -> None:
        """Remove all build cache, whoever made it."""
        self.ask("POST", "/build/prune?all=1")

    def _removable(self, token: str) -> list[str]:
        """Return records of a token, and what is built on them, that have no child."""
        records: list[dict[str, Any]] = (
            json.loads(self.ask("GET", "/system/df"))["BuildCache"] or []
        )
        by_parent: dict[str, list[str]] = {}
        for one in records:
            for parent in filter(
                None, (one.get("Parent", ""), *one.get("Parents", ()))
            ):
                by_parent.setdefault(parent, []).append(one["ID"])
        wanted = {one["ID"] for one in records if token in one["Description"]}
        open_ones = list(wanted)
        while open_ones:
            for child in by_parent.get(open_ones.pop(), []):
                if child not in wanted:
                    wanted.add(child)
                    open_ones.append(child)
        return sorted(one for one in wanted if not by_parent.get(one))


def context(text: str, folder: Path | None = None, **files: Path) -> bytes:
    """Return a build context: a Dockerfile, a directory ``app`` and single files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(text.encode())
        archive.addfile(entry, io.BytesIO(text.encode()))
        for name, path in {**files, **({"app": folder} if folder else {})}.items():
            archive.add(path, name)
    return target.getvalue()


def _last(answer: bytes, key: str) -> str:
    """Return the value that the end of a stream carries.

    Raises:
        RuntimeError: There is an error in the stream, or no such value.
    """
    found = ""
    for line in answer.splitlines():
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise RuntimeError(message["error"])
        aux = message.get("aux")
        if isinstance(aux, dict):
            found = aux.get(key, found)
    if not found:
        raise RuntimeError(f"the engine says no {key}")
    return found
