"""The code that the services serve: a greeting on $PORT."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

GREETING = "hello"


class Handler(BaseHTTPRequestHandler):
    """Greets."""

    def do_GET(self) -> None:
        """Answer any GET."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(GREETING.encode())


HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
