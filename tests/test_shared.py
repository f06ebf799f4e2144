"""The module-level functions: one session per loop and settings, closed in time."""

import asyncio
import dataclasses
import gc
import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import aweigh
from aweigh import ImageSpec, Settings, sharing
from aweigh.errors import UndecidedError
from tests.conftest import AccessLog
from tests.services import Services

WARM = """
import asyncio, json, sys
from aweigh import ImageSpec, ensure_image, upload_bundle
spec = ImageSpec("light", base=sys.argv[1]).with_env(NONCE=sys.argv[2])
async def main():
    image = await ensure_image(spec)
    bundle = await upload_bundle(sys.argv[3]) if sys.argv[3:] else None
    return image, bundle
image, bundle = asyncio.run(main())
heavy = "aiohttp aiodocker obstore rich structlog anyio aiofiles isal zstandard".split()
print(json.dumps({
    "image": image.origin,
    "bundle": bundle and bundle.origin,
    "heavy": [name for name in heavy if name in sys.modules],
}))
"""


def warm(environ: dict[str, str], *argv: str) -> dict[str, object]:
    """Ensure in a new process and return what it says."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WARM, *argv],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


async def test_second_process_connects_to_nobody_and_imports_little(
    live: Settings,
    services: Services,
    live_environ: dict[str, str],
    access_log: AccessLog,
    tmp_path: Path,
) -> None:
    """A warm hit needs no network, engine, store or terminal library."""
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    nonce = uuid.uuid4().hex
    spec = ImageSpec("light", base=services.base).with_env(NONCE=nonce)
    await aweigh.prepare(spec, source, settings=live)
    access_log.mark()
    said = await asyncio.to_thread(
        warm, live_environ, services.base, nonce, str(source)
    )
    assert said == {"image": "recalled", "bundle": "recalled", "heavy": []}
    assert access_log.lines() == []


async def test_concurrent_calls_share_one_session(
    live: Settings, services: Services
) -> None:
    """Calls with equal settings share; other settings have their own."""
    spec = ImageSpec("light", base=services.base).with_env(NONCE=uuid.uuid4().hex)
    images = await asyncio.gather(
        *(aweigh.ensure_image(spec, settings=live) for _ in range(5))
    )
    assert len({image.digest for image in images}) == 1
    sessions = sharing.sessions[asyncio.get_running_loop()]
    assert list(sessions) == [live]
    plan = await aweigh.explain(spec, settings=dataclasses.replace(live, concurrency=3))
    assert plan.image.tier == "cache"
    assert len(sessions) == 2


async def test_idle_session_closes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment after the last call the session is gone; the next call opens one."""
    monkeypatch.setattr(sharing, "IDLE_SECONDS", 0.01)
    settings = offline(tmp_path)
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.py").write_text("1")
    online = dataclasses.replace(settings, offline=False)
    bundle = await aweigh.upload_bundle(source, settings=online)
    sessions = sharing.sessions[asyncio.get_running_loop()]
    async with asyncio.timeout(5):
        while sessions:
            await asyncio.sleep(0.005)
    again = await aweigh.upload_bundle(source, settings=settings)
    assert (again.origin, again.uri) == ("recalled", bundle.uri)
    path = await aweigh.fetch_bundle(bundle.uri, tmp_path / "dest", settings=online)
    assert (path / "main.py").read_text() == "1"


def offline(tmp_path: Path) -> Settings:
    """Return settings that need no service."""
    return Settings(
        cache_dir=tmp_path / "cache", data_dir=tmp_path / "data", offline=True
    )


def test_each_loop_has_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    """asyncio.run after asyncio.run: no shared state, no warning, no leak."""
    settings = offline(tmp_path)

    async def ask() -> None:
        with pytest.raises(UndecidedError):
            await aweigh.ensure_image(ImageSpec("x", base="b"), settings=settings)

    for _ in range(5):
        asyncio.run(ask())
    gc.collect()
    # The last one may still be held by the exception that pytest.raises caught in it.
    assert len([loop for loop in sharing.sessions if loop.is_closed()]) <= 1
    assert not any(sharing.sessions.values())


async def test_cancelled_first_caller_disturbs_nobody(tmp_path: Path) -> None:
    """Whoever opened the session may leave; the others go on."""
    settings = offline(tmp_path)
    spec = ImageSpec("x", base="b")
    calls = [
        asyncio.create_task(aweigh.ensure_image(spec, settings=settings))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    calls[0].cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert [type(outcome) for outcome in outcomes[1:]] == [UndecidedError] * 2


async def test_session_that_cannot_open_tells_every_caller(
    tmp_path: Path,
) -> None:
    """An impossible setting is every caller's error, and the next one's too."""
    settings = dataclasses.replace(offline(tmp_path), store="ftp://nowhere")
    for _ in range(2):
        with pytest.raises(aweigh.AweighError, match="ftp"):
            await aweigh.upload_bundle(tmp_path, settings=settings)
