"""Stands between a client and the S3 server, and counts what it passes on."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_PIECE = 1 << 16


class CountingProxy:
    """A proxy that counts.

    Attributes:
        url: Where it listens.
        gets: How often each object was asked for.
        passed: Bytes of each object that clients got.
        slow: Seconds it waits before each 64 KiB.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.gets: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self.slow = 0.0

    def packs(self, counter: Counter[str]) -> dict[str, int]:
        """Return what a counter says of packs, by their digests."""
        return {
            path.rpartition("/")[2]: count
            for path, count in counter.items()
            if "/packs/" in path
        }


@contextmanager
def counting_proxy(endpoint: str) -> Iterator[CountingProxy]:
    """Run a proxy to an endpoint for as long as the block lasts."""
    there = urlsplit(endpoint).netloc
    pause = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def _pass_on(self) -> None:
            connection = HTTPConnection(there, timeout=60)
            connection.request(self.command, self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.end_headers()
            path = urlsplit(self.path).path
            if self.command == "GET":
                proxy.gets[path] += 1
            with suppress(ConnectionError):
                while piece := answer.read(_PIECE):
                    pause.wait(proxy.slow)
                    self.wfile.write(piece)
                    proxy.passed[path] += len(piece)
            connection.close()

        do_GET = do_HEAD = _pass_on  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    proxy = CountingProxy(f"http://127.0.0.1:{server.server_port}")
    try:
        yield proxy
    finally:
        pause.set()
        server.shutdown()
        server.server_close()
        thread.join()
