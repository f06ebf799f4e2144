"""A local index of tiny wheels, and resolvers that see nothing else."""

import base64
import hashlib
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from aweigh.backends.resolver import Uv, UvResolver
from aweigh.image.files import take_snapshot
from aweigh.image.lock import Lock
from aweigh.image.resolve import ResolveRequest
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform
from aweigh.settings import environment

ARM = Platform("linux", "arm64")
AMD = Platform("linux", "amd64")


def make_dist(
    directory: Path,
    name: str,
    version: str = "1.0",
    *,
    requires: Sequence[str] = (),
    tag: str = "py3-none-any",
    python: str = "",
    extras: Sequence[str] = (),
) -> Path:
    """Write a wheel that holds nothing but what uv reads."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {one}" for one in extras]
    lines += [f"Requires-Dist: {one}" for one in requires]
    lines += [f"Requires-Python: {python}"] if python else []
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        wheel.writestr(
            f"{info}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: {tag}\n",
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


class _Server(ThreadingHTTPServer):
    # uv opens many connections at once; one that is dropped is tried again in a second.
    request_queue_size = 64


class Index:
    """A package index over HTTP with what is in a directory.

    Attributes:
        status: What it answers to everything when it is not 200.
        password: What ``user`` must know; empty when everybody may read.
        delay: Seconds it waits before it answers.
        asked: The paths that were asked for.
    """

    def __init__(self, directory: Path) -> None:
        self.status = 200
        self.password = ""
        self.delay = 0.0
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                time.sleep(index.delay)
                status, content = index.answer(
                    directory, self.path, self.headers.get("Authorization", "")
                )
                with suppress(ConnectionError):
                    self.send_response(status)
                    if status == 401:
                        self.send_header("WWW-Authenticate", "Basic realm=index")
                    kind = (
                        "binary/octet-stream" if "/files/" in self.path else "text/html"
                    )
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    if self.command == "GET":
                        self.wfile.write(content)

            do_HEAD = do_GET  # noqa: N815 - a name of http.server

            def log_message(self, *_: object) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/simple"

    def answer(
        self, directory: Path, path: str, authorization: str
    ) -> tuple[int, bytes]:
        """Answer one question."""
        wanted = base64.b64encode(f"user:{self.password}".encode()).decode()
        if self.password and authorization != f"Basic {wanted}":
            return 401, b"no"
        if self.status != 200:
            return self.status, b"no"
        kind, _, name = path.strip("/").partition("/")
        if kind == "files":
            return 200, (directory / unquote(name)).read_bytes()
        found = [one for one in directory.glob("*") if one.name.split("-")[0] == name]
        links = (
            f'<a href="/files/{quote(one.name)}#sha256='
            f'{hashlib.sha256(one.read_bytes()).hexdigest()}">{one.name}</a>'
            for one in found
        )
        page = f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
        return (200 if found else 404), page.encode()


class Place:
    """A directory with an index in ``dist``, and what resolves from it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dist = root / "dist"
        self.index = Index(self.dist)
        self.environ = environment() | {
            "NO_PROXY": "127.0.0.1",
            "UV_CACHE_DIR": str(root / "cache"),
            "UV_HTTP_RETRIES": "0",
        }

    def add(self, name: str, version: str = "1.0", **more: object) -> Path:
        """Put a wheel into the index."""
        return make_dist(self.dist, name, version, **more)  # type: ignore[arg-type]

    def request(self, spec: ImageSpec, **changes: object) -> ResolveRequest:
        """Ask for a spec below the root, by default for arm64 and Python 3.12."""
        asked: dict[str, object] = {
            "platform": ARM,
            "python": "3.12",
            "manylinux": "manylinux_2_36",
        }
        return ResolveRequest(
            spec=spec,
            snapshot=take_snapshot(spec, self.root),
            **(asked | changes),  # type: ignore[arg-type]
        )

    def uv(self, **environ: str) -> Uv:
        """Return uv with no other index than this one."""
        return Uv(self.environ | {"UV_DEFAULT_INDEX": self.index.url} | environ)

    async def resolve(self, spec: ImageSpec, **changes: object) -> Lock:
        """Resolve from ``dist`` alone."""
        resolver = UvResolver(self.uv(), seconds=60)
        return await resolver.resolve(self.request(spec, **changes))

    def leftovers(self) -> list[str]:
        """Return what a resolution left in the directory for temporary files."""
        return sorted(one.name for one in self.root.glob("aweigh-resolve-*"))
