"""Programs for a dev loop: standard library only, so that any Python runs them."""

SERVER = """
import os, socketserver, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "{version}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(0.5)
        self.answer(VERSION.encode())

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


print("version", VERSION, "starts", flush=True)
server = Server(("0.0.0.0", int(os.environ["PORT"])), Handler)
{extra}
import signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
"""


def server(version: object, extra: str = "") -> str:
    """Return a server that answers with its version."""
    return SERVER.format(version=version, extra=extra)
