"""The dev loop on a real engine, through a session."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from aweigh import ImageSpec, Settings, open_session
from aweigh.backends.credentials import DockerCredentials
from aweigh.backends.engine import DockerTarget, open_engine
from aweigh.events import Event, ServeKept, ServeSwitched, silent
from aweigh.settings import environment
from tests.flow.clients import clients, get
from tests.flow.servers import server
from tests.services import Services


@pytest.fixture
async def target(services: Services) -> AsyncIterator[DockerTarget]:
    """Return a target of its own; nothing of it may stay."""
    async with open_engine(services.engine) as engine:
        made = DockerTarget(
            engine,
            credentials=DockerCredentials(environment(), Path.home(), listener=silent),
            listener=silent,
            namespace=f"aweigh-serve-{uuid.uuid4().hex[:8]}",
        )
        yield made
        assert list(await made.remove_all()) == []


FASTAPI = """
from fastapi import FastAPI, Request, Response

app = FastAPI()

@app.get("/")
def version() -> Response:
    return Response("{version}")

@app.post("/")
async def echo(request: Request) -> Response:
    return Response(await request.body())
"""


def fastapi(version: int) -> str:
    """Return an application that answers with its version."""
    return FASTAPI.format(version=version)


@pytest.mark.parametrize(
    ("source", "packages", "command"),
    [
        (server, (), ["python3", "-u", "web.py"]),
        (fastapi, ("fastapi", "uvicorn"), ["uvicorn", "web:app"]),
    ],
    ids=["stdlib", "fastapi"],
)
async def test_ten_edits_of_a_service_lose_no_request(  # noqa: PLR0917
    live: Settings,
    services: Services,
    target: DockerTarget,
    tmp_path: Path,
    source: Callable[[int], str],
    packages: tuple[str, ...],
    command: list[str],
) -> None:
    """Containers come and go behind clients that keep asking; a broken one does not."""
    code = tmp_path / "src"
    code.mkdir()
    (code / "web.py").write_text(source(1))
    events: list[Event] = []
    spec = ImageSpec("dev", base=services.base)
    if packages:
        spec = spec.with_packages(*packages)
    async with (
        open_session(live, listener=events.append) as session,
        session.serve(spec, code, command, port=0, target=target) as dev,
        clients(dev.url) as asking,
    ):
        outcomes = dev.outcomes()
        for version in range(2, 12):
            (code / "web.py").write_text(source(version))
            outcome = await asyncio.wait_for(anext(outcomes), 60)
            assert isinstance(outcome, ServeSwitched), outcome
            assert await asyncio.to_thread(get, dev.url) == f"200 {version}"
        (code / "web.py").write_text("raise SystemExit('no config')\n")
        kept = await asyncio.wait_for(anext(outcomes), 60)
        assert isinstance(kept, ServeKept)
        assert "no config" in kept.reason
        assert await asyncio.to_thread(get, dev.url) == "200 11"
        (one,) = await target.running()
        assert (one.kind, one.state) == ("serve", "running")
        await outcomes.aclose()
    assert [client.failures for client in asking] == [[], [], []]
    assert [client.connections for client in asking[:2]] == [1, 1]
