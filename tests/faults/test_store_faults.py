"""Row 21 of the fault table for object stores: bundles are put again, not for ever."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aweigh import Settings, open_session
from aweigh.errors import StoreUnavailableError
from aweigh.events import Retried
from aweigh.testing import FaultProxy
from aweigh.testing.doubles import RecordingListener
from aweigh.testing.proxy_faults import Answer, CutRequest, Reset
from tests.services import Services


@pytest.fixture
async def proxy(services: Services) -> AsyncIterator[FaultProxy]:
    """Return a proxy in front of the S3 API."""
    async with FaultProxy(services.s3_endpoint.removeprefix("http://")) as opened:
        yield opened


@pytest.fixture
def settings(
    services: Services,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Settings:
    """Return settings for a place of our own in the bucket, behind the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{proxy.address}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", services.s3_access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", services.s3_secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return Settings(
        store=f"s3://{services.s3_bucket}/{uuid.uuid4().hex}",
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "data",
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a directory with a file that nobody has uploaded yet."""
    directory = tmp_path / "src"
    directory.mkdir()
    (directory / "main.py").write_text(uuid.uuid4().hex)
    return directory


async def test_row_21_bundle_puts_are_tried_again(
    settings: Settings, proxy: FaultProxy, source: Path, tmp_path: Path
) -> None:
    """21, 5xx, reset and cut while a bundle is put: it arrives whole."""
    heard = RecordingListener()
    proxy.next(Answer(503), Reset(), method="HEAD")
    proxy.next(Answer(500), CutRequest(10), method="PUT")
    async with open_session(settings, listener=heard) as session:
        bundle = await session.upload_bundle(source)
        assert bundle.origin == "uploaded"
        path = await session.fetch_bundle(bundle.uri, tmp_path / "dest")
    assert (path / "main.py").read_text() == (source / "main.py").read_text()
    assert len(heard.of(Retried)) >= 2


async def test_row_21_a_store_that_is_down_is_said_and_left_alone(
    settings: Settings,
    proxy: FaultProxy,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """21, 5xx that stay: an error with a hint, and one budget of retries for all."""
    monkeypatch.setattr("aweigh.concurrency.retry.BASE_DELAY", 0.0)
    heard = RecordingListener()
    proxy.always(Answer(503))
    async with open_session(settings, listener=heard) as session:
        for _ in range(15):
            with pytest.raises(StoreUnavailableError, match="503") as caught:
                await session.upload_bundle(source)
            assert caught.value.hint
    assert len(heard.of(Retried)) == 20
