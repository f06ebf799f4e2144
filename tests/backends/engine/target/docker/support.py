"""A target with a namespace of its own in the real engine, and what is left of it."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from aweigh.backends.engine import DockerTarget, Engine
from aweigh.flow.target import Deployment, LogLine, Resources, Task
from tests.backends.engine.doubles import Heard

SERVER = """
import http.server, os, sys
ANSWER = {answer!r}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
        self.wfile.write(ANSWER.encode())
    def log_message(self, *_):
        pass
print("serving", ANSWER, flush=True)
port = int(os.environ.get("PORT", "8000"))
http.server.ThreadingHTTPServer(("", port), Handler).serve_forever()
"""


@dataclass
class Ground:
    """What a test of the target works with.

    Attributes:
        engine: The real engine.
        target: The target under test.
        namespace: Its namespace, of this test alone.
        image: The base image, by digest.
        heard: What its listener heard.
        lines: What programs wrote.
    """

    engine: Engine
    target: DockerTarget
    namespace: str
    image: str
    heard: Heard
    lines: list[LogLine] = field(default_factory=list)

    def task(self, *command: str, **more: Any) -> Task:
        """Return a task in the base image, which the engine has."""
        values = {
            "name": f"task-{uuid.uuid4().hex[:8]}",
            "image": self.image,
            "reference": None,
            "command": command,
        }
        return Task(**(values | more))

    def python(self, script: str, **more: Any) -> Task:
        """Return a task that runs some Python."""
        return self.task("python3", "-c", script, **more)

    async def run(self, *command: str, **more: Any) -> int:
        """Run a command and keep its lines."""
        return await self.target.run(self.task(*command, **more), self.lines.append)

    def texts(self, stream: str | None = None) -> list[str]:
        """Return what was written, to one stream or all."""
        return [one.text for one in self.lines if stream in {None, one.stream}]

    def service(
        self, answer: str, *, status: int = 200, name: str = "api", **more: Any
    ) -> Deployment:
        """Return a service that answers every request with the same."""
        script = SERVER.format(answer=answer, status=status)
        return Deployment(name=name, task=self.python(script), **more)

    async def containers(self) -> list[dict[str, Any]]:
        """Return the containers of the namespace."""
        params = {"all": "1", "filters": self._filter()}
        found: list[dict[str, Any]] = await self.engine.send(
            "GET", "containers/json", params=params
        )
        return found

    async def runs(self) -> list[dict[str, Any]]:
        """Return those of them whose program runs."""
        return [one for one in await self.containers() if one["State"] == "running"]

    async def networks(self) -> list[dict[str, Any]]:
        """Return the networks of the namespace."""
        params = {"filters": self._filter()}
        found: list[dict[str, Any]] = await self.engine.send(
            "GET", "networks", params=params
        )
        return found

    def _filter(self) -> str:
        return json.dumps({"label": [f"aweigh.namespace={self.namespace}"]})


def limits(**values: Any) -> Resources:
    """Return resources."""
    return Resources(**values)
