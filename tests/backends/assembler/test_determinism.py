"""One spec, two machines: nothing of either is in the image."""

import io
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aweigh.backends.registry import RegistryClient, open_registry
from aweigh.events import silent
from aweigh.oci import Index, Manifest, Reference
from aweigh.settings import environment
from tests.backends.assembler.support import unpacked_layer, write_wheel
from tests.backends.registry_support import Nobody
from tests.services import Services

_PROJECT = """
[build-system]
requires = ["uv_build>=0.13,<0.14"]
build-backend = "uv_build"

[project]
name = "voyage"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["markdown-it-py==4.0.0"]
scripts = {{ sail = "voyage:sail" }}

[tool.aweigh.image]
name = "same"
base = "{base}"
packages = ["charset-normalizer==3.4.3"]
project = {{ path = ".", install = true }}
wheels = ["dist/*.whl"]
files = {{ conf = "/etc/voyage" }}
env = {{ MODE = "x" }}
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A user with a directory, a home and caches of their own.

    Attributes:
        root: Everything that is theirs.
        user: Who they are.
        environ: What differs between any two machines.
    """

    root: Path
    user: str
    environ: dict[str, str]

    def ensure(self, services: Services, repository: str) -> Reference:
        """Assemble the project's image in a process of this user."""
        environ = environment() | self.environ
        environ |= {
            "HOME": str(self.root / "home"),
            "USER": f"aweigh-user-{self.user}",
            "LOGNAME": f"aweigh-user-{self.user}",
            "XDG_CACHE_HOME": str(self.root / "home" / "xdg"),
            "UV_CACHE_DIR": str(self.root / "uv"),
            "TMPDIR": str(self.root / "tmp"),
            "AWEIGH_REGISTRY": repository,
            "AWEIGH_BUILDER": "assemble",
            "AWEIGH_CACHE_DIR": str(self.root / "cache"),
            "AWEIGH_ENGINE": f"unix://{self.root}/no.sock",
        }
        self._furnish(services)
        argv = [sys.executable, "-m", "aweigh", "ensure", "pyproject.toml", "--json"]
        if self.user != "root":
            argv = [*_become(self.user), *argv]
        done = subprocess.run(
            argv,
            cwd=self.root / "project",
            env=environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return Reference.parse(json.loads(done.stdout)["reference"])

    def _furnish(self, services: Services) -> None:
        project = self.root / "project"
        for directory in ("project/conf/sub", "project/src/voyage", "home", "tmp"):
            (self.root / directory).mkdir(parents=True)
        (project / "pyproject.toml").write_text(_PROJECT.format(base=services.base))
        (project / "conf" / "sub" / "a.ini").write_text("a = 1\n")
        (project / "src" / "voyage" / "__init__.py").write_text("def sail(): ...\n")
        (project / "conf" / "go.sh").write_text("#!/bin/sh\n")
        (project / "conf" / "go.sh").chmod(0o755)
        write_wheel(
            project / "dist",
            "ours",
            {"ours.py": "def main(): print('hi')\n"},
            scripts={"ours": "ours:main"},
        )
        owner = pwd.getpwnam(self.user)
        for path in (self.root, *self.root.rglob("*")):
            os.utime(path, (owner.pw_uid + 1_000_000_000, 1_500_000_000))
            os.chown(path, owner.pw_uid, owner.pw_gid)


def _become(user: str) -> list[str]:
    """Run as a user who may still read this checkout and its interpreter."""
    capability = "+dac_read_search"
    return [
        *("setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}"),
    ]


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Return two machines that share only what they were installed from."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to be two users")
    roots = [
        Path(tempfile.mkdtemp(prefix=f"aweigh-machine-{name}-"))
        for name in ("first", "second-with-a-longer-name")
    ]
    for root in roots:
        root.chmod(0o755)
    first = {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
    second = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    yield Machine(roots[0], "root", first), Machine(roots[1], "nobody", second)
    for root in roots:
        shutil.rmtree(root)


@dataclass(frozen=True, slots=True)
class Seen:
    """An image as the registry has it: index, manifest, config, and our layers."""

    index: bytes
    manifest: bytes
    config: dict[str, Any]
    layers: dict[str, bytes]


async def look(client: RegistryClient, image: Reference, base: Reference) -> Seen:
    """Read an image, with the layers that are not the base's."""
    found = await client.get_manifest(image)
    assert found is not None
    assert isinstance(found[0], Index)
    (entry,) = found[0].manifests
    pinned = image.with_digest(entry.digest)
    one = await client.get_manifest(pinned)
    below = await client.get_manifest(base)
    assert one is not None
    assert below is not None
    assert isinstance(one[0], Manifest)
    assert isinstance(below[0], Manifest)
    layers = {
        layer.annotations["aweigh.layer"]: unpacked_layer(
            await client.read_blob(image, layer), layer.media_type
        )
        for layer in one[0].layers[len(below[0].layers) :]
    }
    config = json.loads(await client.read_blob(image, one[0].config))
    return Seen(found[2], one[2], config, layers)


def entries(plain: bytes) -> list[tarfile.TarInfo]:
    """List a layer."""
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        return archive.getmembers()


async def test_no_machine_shows_in_an_image(
    services: Services, repository: str, machines: tuple[Machine, Machine]
) -> None:
    """Directories, caches, homes, users, zones and hash seeds make no difference."""
    images = [
        machine.ensure(services, f"{repository}/{number}")
        for number, machine in enumerate(machines)
    ]
    async with open_registry(Nobody(), listener=silent) as client:
        base = Reference.parse(services.base)
        first, second = [await look(client, image, base) for image in images]

    assert first.config["rootfs"]["diff_ids"] == second.config["rootfs"]["diff_ids"]
    assert first.config == second.config
    assert first.manifest == second.manifest
    assert first.index == second.index
    assert {"environment", "files /etc/voyage"} < set(first.layers)
    names = {one.name for plain in first.layers.values() for one in entries(plain)}
    assert {
        "opt/venv/bin/markdown-it",
        "opt/venv/bin/normalizer",
        "opt/venv/bin/ours",
        "opt/venv/bin/sail",
        "etc/voyage/sub/a.ini",
    } <= names
    assert any(name.endswith("/ours.cpython-311.pyc") for name in names)
    traces = [b"aweigh-machine", b"aweigh-user", sys.prefix.encode()]
    traces += [sys.base_prefix.encode(), str(Path.cwd()).encode()]
    if len(socket.gethostname()) > 3:
        traces.append(socket.gethostname().encode())
    for seen in (first, second):
        for name, plain in seen.layers.items():
            assert [one for one in traces if one in plain] == [], name
            for entry in entries(plain):
                assert (entry.uid, entry.gid) == (0, 0)
                assert (entry.uname, entry.gname) == ("", "")
                assert entry.mtime == 946_684_800
