"""A package index on loopback that every side installs from; it counts what it gives.

It holds exactly the wheels of the sets, fetched once, and serves them as PyPI does:
JSON pages with sizes and hashes (PEP 691, 700), metadata beside the wheels (PEP 658).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import threading
import zipfile
from collections import defaultdict
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

from uv import find_uv_bin

from benchmarks.measure import environ

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["Index", "fetch", "serving"]

_JSON: Final = "application/vnd.pypi.simple.v1+json"
_WHEEL: Final = "application/octet-stream"


def fetch(requirements: Sequence[str], folder: Path, links: str | None) -> None:
    """Download wheels for this interpreter and platform, unless that was done before.

    Args:
        requirements: What to fetch, with its dependencies; the last one is another
            release of the one before it.
        folder: Where the wheels are kept.
        links: A directory or page with wheels that no index has.
    """
    done = folder / f"{hashlib.sha256(repr(requirements).encode()).hexdigest()[:16]}.ok"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    pip = [find_uv_bin(), "tool", "run", "pip", "download", "-q", "-d", str(folder)]
    pip += ["--only-binary", ":all:", *(["--find-links", links] if links else [])]
    subprocess.run([*pip, *requirements[:-1]], check=True, env=environ())
    subprocess.run([*pip, "--no-deps", requirements[-1]], check=True, env=environ())
    done.touch()


class Index:
    """The wheels of a directory, and how many bytes of them were asked for."""

    def __init__(self, folder: Path) -> None:
        """Read the directory."""
        self.pages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.files: dict[str, Path] = {}
        self.metadata: dict[str, bytes] = {}
        self.url = ""
        self._lock = threading.Lock()
        self._served = 0
        for path in sorted(folder.glob("*.whl")):
            self._add(path)

    def served(self) -> int:
        """Return the bytes that were sent since the last call."""
        with self._lock:
            found, self._served = self._served, 0
        return found

    def count(self, size: int) -> None:
        """Note that this much was sent."""
        with self._lock:
            self._served += size

    def page(self, project: str) -> bytes | None:
        """Return a project's page, or None when there is no such project."""
        files = self.pages.get(project)
        if files is None:
            return None
        page = {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": sorted({one["filename"].split("-")[1] for one in files}),
            "files": files,
        }
        return json.dumps(page).encode()

    def _add(self, path: Path) -> None:
        with zipfile.ZipFile(path) as wheel:
            (name,) = (
                one for one in wheel.namelist() if _METADATA.fullmatch(one) is not None
            )
            metadata = wheel.read(name)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files[path.name] = path
        self.metadata[f"{path.name}.metadata"] = metadata
        project = re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower()
        entry = {
            "filename": path.name,
            "url": f"/files/{path.name.replace('+', '%2B')}",
            "hashes": {"sha256": digest},
            "size": path.stat().st_size,
            "core-metadata": {"sha256": hashlib.sha256(metadata).hexdigest()},
            "yanked": False,
        }
        self.pages[project].append(entry)


_METADATA: Final = re.compile(r"[^/]+\.dist-info/METADATA")


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    """Serve a directory of wheels from a thread."""
    index = Index(folder)

    class Handler(_Handler):
        wheels = index

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        index.url = f"http://127.0.0.1:{server.server_port}/simple/"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield index
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wheels: Index

    def do_GET(self) -> None:
        """Answer with a page, metadata or a wheel."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        kind, _, name = self.path.strip("/").replace("%2B", "+").partition("/")
        if kind == "simple":
            self._send(self.wheels.page(name), _JSON, body=body)
        elif name in self.wheels.files:
            self._send_file(self.wheels.files[name], body=body)
        else:
            self._send(self.wheels.metadata.get(name), _WHEEL, body=body)

    def _send(self, content: bytes | None, kind: str, *, body: bool) -> None:
        status = HTTPStatus.NOT_FOUND if content is None else HTTPStatus.OK
        content = content or b""
        self._start(status, kind, len(content))
        if body:
            self.wfile.write(content)
            self.wheels.count(len(content))

    def _send_file(self, path: Path, *, body: bool) -> None:
        size = path.stat().st_size
        self._start(HTTPStatus.OK, _WHEEL, size)
        if body:
            with path.open("rb") as file:
                shutil.copyfileobj(file, self.wfile, 1 << 20)
            self.wheels.count(size)

    def _start(self, status: HTTPStatus, kind: str, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()
