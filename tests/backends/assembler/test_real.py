"""An assembled image, judged by tools that are not ours: skopeo and an engine."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aweigh.backends.assembler import AssembleBuilder
from aweigh.backends.registry import open_registry
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform, Reference
from aweigh.settings import environment
from aweigh.testing import DictMemory, RecordingListener
from tests.backends.assembler.support import WheelResolver, request_of, write_wheel
from tests.backends.registry_support import Nobody
from tests.services import Services

_LIST = """
import importlib.metadata, json, pathlib, sys
import pkg
found = {}
for one in importlib.metadata.distributions():
    if str(one.locate_file("")).startswith("/opt/venv"):
        missing = [str(f) for f in one.files if not pathlib.Path(f.locate()).exists()]
        found[one.name] = [one.version, missing]
print(json.dumps([sys.prefix, pkg.__cached__, found]))
"""


def run(*argv: str) -> str:
    """Run a foreign tool and return what it prints."""
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def image(repository: str, services: Services) -> Iterator[str]:
    """Return a name for an image; the engine forgets it afterwards."""
    name = f"{repository}:1"
    yield name
    subprocess.run(
        ["docker", "--host", services.engine, "rmi", "--force", name],
        check=False,
        capture_output=True,
    )


async def test_skopeo_and_the_engine_accept_an_assembled_image(
    image: str, services: Services, tmp_path: Path
) -> None:
    """It is inspected, pulled and run: imports, scripts, data, files and metadata."""
    write_wheel(
        tmp_path / "dist",
        "pkg",
        {
            "pkg/__init__.py": "def main():\n    print('hello from', __file__)\n",
            "pkg-1.0.data/data/share/pkg/x.txt": "data",
        },
        scripts={"hello": "pkg:main"},
    )
    (tmp_path / "conf.ini").write_text("a = 1\n")
    spec = (
        ImageSpec("t", base=services.base)
        .with_files("conf.ini", "/etc/pkg/")
        .with_env(MODE="test")
        .with_workdir("/work")
        .with_wheel("dist/*.whl")
        .with_user("1000")
    )
    listener = RecordingListener()
    async with open_registry(Nobody(), listener=listener) as client:
        builder = AssembleBuilder(
            registry=client,
            resolver=WheelResolver(),
            memory=DictMemory(),
            cache_dir=tmp_path / "cache",
            environ=environment(),
            listener=listener,
        )
        built = await builder.build(
            request_of(spec, tmp_path, Reference.parse(image), platform=Platform.host())
        )

    seen = json.loads(
        run("skopeo", "inspect", "--tls-verify=false", f"docker://{image}")
    )
    assert seen["Digest"] == str(built.digest)
    assert "MODE=test" in seen["Env"]
    docker = ("docker", "--host", services.engine)
    run(*docker, "pull", "--quiet", image)
    start = (*docker, "run", "--rm", "--network", "none", image)
    prefix, cached, found = json.loads(run(*start, "python", "-c", _LIST))
    assert prefix == "/opt/venv"
    assert found == {"pkg": ["1.0", []]}
    assert cached.startswith("/opt/venv/lib/python3.11/site-packages/pkg/__pycache__/")
    script = "hello && cd /etc/pkg && cat conf.ini /opt/venv/share/pkg/x.txt && id -u"
    said = run(*start, "sh", "-c", f"pwd && {script}")
    assert said.splitlines() == [
        "/work",
        "hello from /opt/venv/lib/python3.11/site-packages/pkg/__init__.py",
        "a = 1",
        "data1000",
    ]
