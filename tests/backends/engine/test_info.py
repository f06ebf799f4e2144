"""What an engine says of itself."""

import asyncio
import json
from pathlib import Path

import pytest

from aweigh.backends.engine import Engine, EngineInfo, engine_info, open_engine
from aweigh.errors import EngineError
from aweigh.oci import Platform
from tests.backends.engine.doubles import engine_double, response

VERSION = {"Version": "29.1", "ApiVersion": "1.52", "Os": "linux", "Arch": "arm64"}
INFO = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}


async def info_of(path: Path, version: object, info: object) -> EngineInfo:
    """Ask an engine that says these things."""

    async def answer(_line: str, _reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(response(json.dumps(info).encode()))

    told = json.dumps(version).encode()
    async with (
        engine_double(path / "s", answer, told) as host,
        open_engine(host) as engine,
    ):
        return await engine_info(engine)


async def test_the_real_engine_is_known(engine: Engine) -> None:
    """The engine of the tests builds with BuildKit for this machine."""
    info = await engine_info(engine)
    assert info.host == engine.host
    assert info.platform == Platform.host()
    assert info.has_buildkit
    assert info.storage_driver
    assert info.version[0].isdigit()


async def test_containerds_store_is_told(tmp_path: Path) -> None:
    """The graph driver's name does not tell; its status does."""
    status = [["driver-type", "io.containerd.snapshotter.v1"]]
    info = await info_of(
        tmp_path, VERSION, {"Driver": "overlayfs", "DriverStatus": status}
    )
    assert info.has_containerd_store
    assert info.platform == Platform("linux", "arm64")
    assert info.has_buildkit


@pytest.mark.parametrize(
    "changed",
    [
        {"ApiVersion": "1.38"},
        {"Os": "windows"},
        {"Components": [{"Name": "Podman Engine"}]},
    ],
)
async def test_not_every_engine_has_buildkit(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    """Old ones, Windows and Podman build differently."""
    info = await info_of(tmp_path, VERSION | changed, INFO)
    assert not info.has_buildkit
    assert not info.has_containerd_store


@pytest.mark.parametrize(
    "version", [{"ApiVersion": "1.41"}, VERSION | {"Components": [1]}]
)
async def test_other_servers_are_refused(tmp_path: Path, version: object) -> None:
    """What lacks the fields is no engine."""
    with pytest.raises(EngineError, match="not a Docker engine"):
        await info_of(tmp_path, version, INFO)
