"""Tools that are not ours: an engine, skopeo, umoci and pip."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uv

from tests.packages.sets import CPU_INDEX, PackageSet
from tests.services import setting

INSIDE = Path(__file__).with_name("inside.py")
PIP = "pip==26.3"
VENV = "/opt/venv"
SHOWN = 4000
# Nothing can be written but what a program wants to keep for a moment, by nobody.
_LOCKED = ("--read-only", "--tmpfs", "/tmp:exec", "--env", "HOME=/tmp")
_NOBODY = "65534:65534"


def run(*argv: str | Path, stdin: str = "") -> str:
    """Run a tool and return what it prints; its own words are in the failure.

    Raises:
        AssertionError: It failed.
    """
    ended = subprocess.run(
        list(map(str, argv)), check=False, capture_output=True, text=True, input=stdin
    )
    shown = (
        f"{' '.join(map(str, argv))}\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
    )
    assert ended.returncode == 0, shown
    return ended.stdout


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine.

    Attributes:
        address: Where it listens.
    """

    address: str

    def pull(self, image: str) -> None:
        """Pull an image."""
        run(*self._docker, "pull", "--quiet", image)

    def forget(self, image: str) -> None:
        """Remove an image, if it is there."""
        argv = [*self._docker, "rmi", "--force", image]
        subprocess.run(argv, check=False, capture_output=True)

    def run(
        self, image: str, *argv: str, stdin: str = "", mounts: Mapping[str, Path]
    ) -> str:
        """Run a command as nobody, without network, in an image that cannot change."""
        return run(
            *self._docker, "run", "--rm", "--interactive", "--network", "none",
            "--user", _NOBODY, *_LOCKED, *_mounts(mounts), image, *argv,
            stdin=stdin,
        )  # fmt: skip

    def work(self, image: str, *argv: str, mounts: Mapping[str, Path]) -> str:
        """Run a command as the caller, with network, that may write to mounts."""
        user = f"{os.getuid()}:{os.getgid()}"
        return run(
            *self._docker, "run", "--rm", "--network", "host",
            "--user", user, *_LOCKED, *_mounts(mounts, mode="rw"), image, *argv,
        )  # fmt: skip

    @property
    def _docker(self) -> tuple[str, ...]:
        return ("docker", "--host", self.address)


def _mounts(places: Mapping[str, Path], mode: str = "ro") -> list[str]:
    where = {"venv": VENV, "links": "/links", "tools": "/tools", "cache": "/cache"}
    places = {**places, "inside": INSIDE}
    return [
        part
        for name, path in places.items()
        for part in ("--volume", f"{path}:{where.get(name, '/inside.py')}:{mode}")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What Python and pip find in an environment.

    Attributes:
        metadata: What ``importlib.metadata`` says: by distribution and field.
        check: Status and last words of ``pip check``.
    """

    metadata: dict[str, list[str]]
    check: list[int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Python in containers of one image, with or without an environment from outside.

    Attributes:
        engine: Runs it.
        image: The image.
        tools: Where pip is.
        mounts: What is mounted besides: ``venv``.
    """

    engine: Engine
    image: str
    tools: Path
    mounts: dict[str, Path] = field(default_factory=dict)

    def look(self) -> Look:
        """Look at all distributions, and let pip check their requirements."""
        return Look(**self._inside("look"))

    def uncompiled(self) -> list[str]:
        """List modules without bytecode."""
        found: list[str] = self._inside("uncompiled")
        return found

    def try_all(self, what: str, names: list[str]) -> dict[str, tuple[int, str]]:
        """Import modules or run scripts; return status and last words of each."""
        found: dict[str, list[Any]] = self._inside(what, names) if names else {}
        return {name: (int(told[0]), str(told[1])) for name, told in found.items()}

    def _inside(self, what: str, names: list[str] | None = None) -> Any:
        argv = (f"{VENV}/bin/python", "/inside.py", what)
        mounts = {"tools": self.tools, **self.mounts}
        told = json.dumps(names or [])
        said = self.engine.run(self.image, *argv, stdin=told, mounts=mounts)
        return json.loads(said)


def install_pip(directory: Path) -> Path:
    """Install pip for use from outside of environments."""
    install = (uv.find_uv_bin(), "pip", "install", "--no-config", "--quiet")
    run(*install, "--python", sys.executable, "--target", directory, PIP)
    directory.chmod(0o755)  # containers read it as nobody
    return directory


def plain_install(
    bare: Container, lock: Path, directory: Path, packages: PackageSet
) -> Container:
    """Let pip install what a lock pins, in a container, at the same place.

    Args:
        bare: The base.
        lock: A ``pylock.toml``.
        directory: Where the environment is to be; new.
        packages: Tells where pip is to look for them.

    Returns:
        The base with that environment mounted.
    """
    locked = tomllib.loads(lock.read_text(encoding="utf-8"))["packages"]
    pinned = [f"{one['name']}=={one['version']}" for one in locked]
    venv = directory / "venv"
    venv.mkdir(parents=True)
    mounts = {"venv": venv, "tools": bare.tools, "cache": _pip_cache()}
    argv = [f"{VENV}/bin/python", "/tools/pip", "install", "--no-deps", "--no-compile"]
    argv += ["--quiet", "--cache-dir", "/cache", "--only-binary", ":all:"]
    if packages.directory is not None:
        mounts["links"] = packages.directory
        argv += ["--find-links", "/links"]
    elif packages.cpu:
        argv += ["--extra-index-url", CPU_INDEX]
    create = f"python3 -m venv --without-pip --system-site-packages {VENV}"
    commands = f"{create} && exec {shlex.join([*argv, *pinned])}"
    bare.engine.work(bare.image, "sh", "-c", commands, mounts=mounts)
    return replace(bare, mounts={"venv": venv})


def _pip_cache() -> Path:
    home = setting("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(home) / "aweigh-tests" / "pip"
    path.mkdir(parents=True, exist_ok=True)
    return path


def unpack(image: str, directory: Path) -> tuple[Path, list[int]]:
    """Copy an image with skopeo and unpack it with umoci, which check all digests.

    Returns:
        Its root, and the bytes of its layers.
    """
    directory.mkdir()
    layout = directory / "layout"
    copy = ("skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false")
    run(*copy, f"docker://{image}", f"oci:{layout}:1")
    rootless = ["--rootless"] if os.getuid() else []
    bundle = directory / "bundle"
    run("umoci", "unpack", *rootless, "--image", f"{layout}:1", bundle)
    layers = _manifest(layout)["layers"]
    shutil.rmtree(layout)
    return bundle / "rootfs", [layer["size"] for layer in layers]


def _manifest(layout: Path) -> Any:
    index = json.loads((layout / "index.json").read_bytes())
    digest = index["manifests"][0]["digest"].replace(":", "/")
    return json.loads((layout / "blobs" / digest).read_bytes())


def inspect(image: str) -> dict[str, Any]:
    """Return what skopeo says of an image."""
    seen: dict[str, Any] = json.loads(
        run("skopeo", "inspect", "--tls-verify=false", f"docker://{image}")
    )
    return seen


@contextmanager
def throwaway_registry(directory: Path) -> Iterator[str]:
    """Start a registry of one's own: with its directory all of it is gone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = directory / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {directory}/registry}}}}\n"
        f"http: {{addr: '{address}'}}\n",
        encoding="utf-8",
    )
    with (directory / "registry.log").open("wb") as log:
        # It ends with us, however we end.
        bound = ("setpriv", "--pdeathsig", "TERM")
        process = subprocess.Popen(
            [*bound, "docker-registry", "serve", config], stdout=log, stderr=log
        )
    try:
        _wait_for(address)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    for _ in range(200):
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens at {address}")
