"""Generated Dockerfiles, built and run by a real engine."""

import json
import socket
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import pytest
from uv import find_uv_bin

from aweigh.archive.member import Member
from aweigh.archive.tar import tar_chunks
from aweigh.image.dockerfile import render
from aweigh.image.files import take_snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform
from tests.image.trees import make_tree, make_wheel
from tests.services import Services

TEXT_NAME = ".test.Dockerfile"
STRANGE = r"""x $HOME ${PATH} "q" \ \\ 's' `b` #é"""


class Engine(HTTPConnection):
    """As much of an engine's client as these tests need."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=150)
        self.path = path
        self.images: list[str] = []

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request and return the answer."""
        kind = (
            "application/json"
            if body and body.startswith(b"{")
            else "application/x-tar"
        )
        try:
            self.request(method, path, body, {"Content-Type": kind})
            return self.getresponse().read()
        finally:
            self.close()

    def build(self, text: str, members: tuple[Member, ...]) -> tuple[str, str]:
        """Build and return the image's name and the error, if there was one."""
        name = f"aweigh-test/{uuid.uuid4().hex}:1"
        self.images.append(name)
        content = text.encode()
        dockerfile = Member(
            path=TEXT_NAME, kind="file", size=len(content), source=content
        )
        query = urlencode(
            {"version": 2, "t": name, "dockerfile": TEXT_NAME, "networkmode": "host"}
        )
        context = b"".join(tar_chunks([dockerfile, *members]))
        lines = self.ask("POST", f"/build?{query}", context).splitlines()
        errors = [json.loads(line).get("error", "") for line in lines]
        return name, "".join(errors)

    def run(self, image: str, script: str) -> str:
        """Run a shell script in an image and return what it wrote."""
        config = {"Image": image, "Entrypoint": ["sh", "-c", script], "Tty": True}
        made = self.ask("POST", "/containers/create", json.dumps(config).encode())
        place = f"/containers/{json.loads(made)['Id']}"
        try:
            self.ask("POST", f"{place}/start")
            self.ask("POST", f"{place}/wait")
            return self.ask("GET", f"{place}/logs?stdout=1&stderr=1").decode()
        finally:
            self.ask("DELETE", f"{place}?force=1")


@pytest.fixture
def engine(services: Services) -> Iterator[Engine]:
    """Return an engine that forgets the images of this test."""
    engine = Engine(services.engine.removeprefix("unix://"))
    yield engine
    for image in engine.images:
        engine.ask("DELETE", f"/images/{image}?force=1")


@pytest.fixture
def installer(engine: Engine) -> str:
    """Return an image that holds uv and nothing else."""
    path = Path(find_uv_bin())
    member = Member(
        path="uv",
        kind="file",
        executable=True,
        size=path.stat().st_size,
        source=path.resolve(),
    )
    image, error = engine.build("FROM scratch\nCOPY uv /uv\n", (member,))
    assert not error
    return image


def build(engine: Engine, installer: str, spec: ImageSpec, root: Path) -> str:
    """Build a spec and return the image's name."""
    snapshot = take_snapshot(spec, root)
    base = snapshot.base
    assert base is not None
    text = render(
        spec,
        snapshot,
        base=base,
        installer=installer,
        platform=Platform.host(),
        labels={'k"$e\\y': STRANGE},
    )
    image, error = engine.build(text, snapshot.members)
    assert not error
    return image


def test_values_arrive_as_they_are(
    services: Services, engine: Engine, installer: str, tmp_path: Path
) -> None:
    """Quotes, dollars and backslashes survive every instruction; files keep modes."""
    make_tree(tmp_path, {"conf/a b$c": "1", "conf/sub/x!": "2", "one.sh!": "3"})
    place = "/we$ird \"dir\" 'q'\\x"
    spec = (
        ImageSpec("t", base=services.base)
        .with_files("conf", place)
        .with_files("one.sh", "/tmp/")
        .with_env(A=STRANGE, EMPTY="")
        .with_workdir(place + "/sub")
        .with_user("1000")
        .with_run('printf "%s\\n" "$A" "$(pwd)" > /tmp/seen\nid -u >> /tmp/seen')
        .with_entrypoint("echo", "$A", "\n\"'")
    )
    image = build(engine, installer, spec, tmp_path)
    found = engine.run(
        image, "cat /tmp/seen; stat -c %a x ../a* /tmp/one.sh /tmp; echo ../a*"
    )
    modes = ["755", "644", "755", "1777"]
    assert found.splitlines() == [
        STRANGE,
        place + "/sub",
        "1000",
        *modes,
        "../a b$c",
    ]
    config = json.loads(engine.ask("GET", f"/images/{image}/json"))["Config"]
    assert f"A={STRANGE}" in config["Env"]
    assert "EMPTY=" in config["Env"]
    assert config["Labels"] == {'k"$e\\y': STRANGE}
    assert config["Entrypoint"] == ["echo", "$A", "\n\"'"]
    assert config["User"] == "1000"


def test_wheels_leave_nothing_but_themselves(
    services: Services, engine: Engine, installer: str, tmp_path: Path
) -> None:
    """The venv is there, the tools are not, and a rebuilt wheel is really new."""
    name = f"w{uuid.uuid4().hex}"
    spec = ImageSpec("t", base=services.base).with_wheel("*.whl")
    script = (
        f"python -c 'import {name}; print({name}.VALUE)'; command -v python; "
        f"ls -A /mnt; find / -xdev '(' -name uv -o -name '{name}*.whl' ')'"
    )
    for value in (1, 2):
        make_wheel(tmp_path, name, value=value)
        image = build(engine, installer, spec, tmp_path)
        found = engine.run(image, script).splitlines()
        assert found == [str(value), "/opt/venv/bin/python"]


def test_a_base_without_python_says_so(
    services: Services, engine: Engine, installer: str, tmp_path: Path
) -> None:
    """Asking for a Python the base lacks fails at the first Python step."""
    make_wheel(tmp_path, "one")
    spec = ImageSpec("t", base=services.base, python="3.99").with_wheel("*.whl")
    snapshot = take_snapshot(spec, tmp_path)
    text = render(
        spec,
        snapshot,
        base=services.base,
        installer=installer,
        platform=Platform.host(),
        labels={},
    )
    _, error = engine.build(text, snapshot.members)
    assert "uv venv" in error
    assert "--python 3.99" in error
