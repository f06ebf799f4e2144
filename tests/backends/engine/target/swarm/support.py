"""A target with a namespace of its own in the swarm, and what is left of it."""

import hashlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from aweigh.backends.engine import Engine, SwarmTarget
from aweigh.flow.target import Deployment, LogLine, Task
from aweigh.image.credential import Credential
from aweigh.oci import Reference
from aweigh.oci.manifest import DOCKER_MANIFEST
from tests.backends.engine.doubles import Heard
from tests.services import Services

# Ends when it is asked to, without waiting for the ten seconds of grace.
STAY = "import signal; print('up', flush=True); signal.sigwait({signal.SIGTERM})"
SERVE = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["ANSWER"].encode())
    def log_message(self, *_): pass
print("serving", os.environ["ANSWER"], flush=True)
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


@dataclass
class SwarmGround:
    """What a test of the swarm works with.

    Attributes:
        manager: The engine that manages it.
        worker: The engine of the second node.
        target: The target under test.
        namespace: Its namespace, of this test alone.
        image: The base image, by digest; both nodes have it.
        heard: What its listener heard.
        lines: What programs wrote.
    """

    manager: Engine
    worker: Engine
    target: SwarmTarget
    namespace: str
    image: Reference
    heard: Heard
    lines: list[LogLine] = field(default_factory=list)

    def task(self, *command: str, image: Reference | None = None, **more: Any) -> Task:
        """Return a task in the base image, or another."""
        image = image or self.image
        values: dict[str, Any] = {
            "name": f"task-{uuid.uuid4().hex[:8]}",
            "image": str(image),
            "reference": image,
            "command": command,
        }
        return Task(**(values | more))

    def python(self, script: str, **more: Any) -> Task:
        """Return a task that runs some Python."""
        return self.task("python3", "-c", script, **more)

    def service(self, script: str, *, replicas: int = 2, **more: Any) -> Deployment:
        """Return a service of replicas that run some Python."""
        values = {"name": "api", "ports": {}, "health_path": None} | more
        rest = {key: values.pop(key) for key in tuple(values) if key in _TASK_KEYS}
        return Deployment(task=self.python(script, **rest), replicas=replicas, **values)

    async def run(self, task: Task) -> int:
        """Run a task and keep its lines."""
        return await self.target.run(task, self.lines.append)

    def texts(self, stream: str | None = None) -> list[str]:
        """Return what was written, to one stream or all."""
        return [one.text for one in self.lines if stream in {None, one.stream}]

    async def containers(self, *, running: bool = False) -> list[list[str]]:
        """Return the ids of the namespace's containers on each node."""
        return [
            await containers(engine, self.namespace, running=running)
            for engine in (self.manager, self.worker)
        ]

    async def spread(self) -> list[int]:
        """Return how many containers run on each node."""
        return [len(node) for node in await self.containers(running=True)]

    async def is_clean(self) -> bool:
        """Tell whether nothing of the namespace is in the swarm or on its nodes."""
        return await is_clean(self.manager, self.worker, self.namespace)

    async def secrets(self) -> list[str]:
        """Return the files that the namespace's secrets become."""
        params = _labelled(self.namespace)
        found = await self.manager.send("GET", "secrets", params=params)
        return sorted(one["Spec"]["Labels"]["aweigh.file"] for one in found)

    async def ready_nodes(self) -> int:
        """Return how many nodes answer."""
        nodes = await self.manager.send("GET", "nodes")
        return sum(node["Status"]["State"] == "ready" for node in nodes)


async def containers(engine: Engine, namespace: str, *, running: bool) -> list[str]:
    """Return the ids of a namespace's containers on one node."""
    params = _labelled(namespace) | {"all": "0" if running else "1"}
    found = await engine.send("GET", "containers/json", params=params)
    return [str(one["Id"]) for one in found]


async def is_clean(manager: Engine, worker: Engine, namespace: str) -> bool:
    """Tell whether nothing of a namespace is in a swarm or on its nodes."""
    for kind in ("services", "secrets", "networks"):
        if await manager.send("GET", kind, params=_labelled(namespace)):
            return False
    left = [
        await containers(one, namespace, running=False) for one in (manager, worker)
    ]
    return left == [[], []]


def _labelled(namespace: str) -> dict[str, str]:
    return {"filters": json.dumps({"label": [f"aweigh.namespace={namespace}"]})}


_TASK_KEYS = frozenset({"image", "env", "secrets", "resources", "mounts", "labels"})


@dataclass(frozen=True)
class Place:
    """A registry, and how tests talk to it without our own client."""

    registry: str
    base: str
    url: str
    authorization: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def open(cls, services: Services) -> "Place":
        """Return the open registry."""
        return cls(services.registry, services.base, f"http://{services.registry}")

    @classmethod
    def secure(cls, services: Services) -> "Place":
        """Return the one with TLS and passwords."""
        return cls(
            services.secure_registry,
            services.secure_base,
            f"https://{services.secure_registry}",
            aiohttp.encode_basic_auth(
                services.secure_username, services.secure_password
            ),
            ssl.create_default_context(cafile=str(services.secure_ca)),
        )

    async def base_digest(self) -> Reference:
        """Return the base image by digest."""
        async with self._manifest(self.base) as (name, raw):
            return _pinned(f"{self.registry}/{name}", raw)

    async def variant(self, word: str) -> Reference:
        """Return a new image: the base with another label, in a repository of its own.

        Its layers are the base's, so a node that has the base pulls only a few bytes.
        """
        repository = f"t/{uuid.uuid4().hex}"
        async with self._manifest(self.base) as (name, raw), self._session() as session:
            manifest = json.loads(raw)
            blobs = f"{self.url}/v2/{name}/blobs/{manifest['config']['digest']}"
            async with session.get(blobs) as answer:
                config = json.loads(await answer.read())
            config["config"]["Labels"] = {"word": word}
            content = json.dumps(config).encode()
            uploads = f"{self.url}/v2/{repository}/blobs/uploads/"
            for layer in manifest["layers"]:
                mount = {"mount": layer["digest"], "from": name}
                async with session.post(uploads, params=mount) as answer:
                    assert answer.status == 201
            manifest["config"]["digest"] = digest = _digest(content)
            manifest["config"]["size"] = len(content)
            async with session.post(uploads) as answer:
                location = answer.headers["Location"]
            joint = "&" if "?" in location else "?"
            await _put(session, f"{location}{joint}digest={digest}", content)
            made = json.dumps(manifest).encode()
            path = f"{self.url}/v2/{repository}/manifests/{_digest(made)}"
            await _put(session, path, made, {"Content-Type": DOCKER_MANIFEST})
        return _pinned(f"{self.registry}/{repository}", made)

    async def delete(self, image: Reference) -> None:
        """Delete an image."""
        path = f"{self.url}/v2/{image.repository}/manifests/{image.digest}"
        async with self._session() as session, session.delete(path) as answer:
            assert answer.status == 202

    @asynccontextmanager
    async def _manifest(self, base: str) -> AsyncIterator[tuple[str, bytes]]:
        name, _, tag = base.removeprefix(f"{self.registry}/").rpartition(":")
        path = f"{self.url}/v2/{name}/manifests/{tag}"
        headers = {"Accept": DOCKER_MANIFEST}
        async with (
            self._session() as session,
            session.get(path, headers=headers) as answer,
        ):
            assert answer.status == 200
            yield name, await answer.read()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.tls or True)
        headers = {"Authorization": self.authorization} if self.authorization else {}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as made:
            yield made


@dataclass(frozen=True)
class Known:
    """A credential source for one registry."""

    registry: str
    secret: Credential

    async def credential(self, registry: str, /) -> Credential | None:
        """Return the credential of a registry."""
        return self.secret if registry == self.registry else None


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _pinned(name: str, manifest: bytes) -> Reference:
    return Reference.parse(f"{name}@{_digest(manifest)}")


async def _put(
    session: aiohttp.ClientSession,
    url: str,
    content: bytes,
    headers: Mapping[str, str] | None = None,
) -> None:
    async with session.put(url, data=content, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
