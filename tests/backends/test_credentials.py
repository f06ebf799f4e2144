"""Where credentials come from: files of Docker and Podman, and helper programs."""

import asyncio
import base64
import json
import time
from pathlib import Path

import pytest

from aweigh.backends.credentials import DockerCredentials, docker
from aweigh.backends.credentials.helper import HelperError, ask_helper
from aweigh.events import Event, Warned
from aweigh.image.credential import Credential

REGISTRY = "registry.test:5000"


def encoded(text: str) -> str:
    """Encode as Docker's ``auth`` does."""
    return base64.b64encode(text.encode()).decode()


class Machine:
    """A home directory, an environment and what was heard.

    Attributes:
        home: The home directory.
        environ: The environment.
        heard: Warnings so far.
        patience: Seconds that a helper gets.
    """

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.home.mkdir()
        self.bin = root / "bin"
        self.bin.mkdir()
        self.environ = {"PATH": f"{self.bin}:/usr/bin:/bin"}
        self.heard: list[Event] = []
        self.patience = 10.0
        self.credentials = self.fresh()

    def fresh(self) -> DockerCredentials:
        """Return a source that remembers nothing."""
        return DockerCredentials(
            self.environ,
            self.home,
            listener=self.heard.append,
            helper_seconds=self.patience,
        )

    def write(self, path: str, document: object) -> None:
        """Write a JSON file below the home directory."""
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))

    def helper(self, name: str, script: str) -> None:
        """Put a credential helper in PATH."""
        file = self.bin / f"docker-credential-{name}"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    async def ask(self, registry: str = REGISTRY) -> Credential | None:
        """Ask a fresh source."""
        return await self.fresh().credential(registry)

    @property
    def warnings(self) -> list[str]:
        """What was warned about."""
        return [event.message for event in self.heard if isinstance(event, Warned)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine on which nobody logged in."""
    return Machine(tmp_path)


async def test_nobody_logged_in(machine: Machine) -> None:
    """Without any file there is no credential, and nothing to warn about."""
    assert await machine.ask() is None
    assert not machine.heard


@pytest.mark.parametrize(
    "key",
    [
        REGISTRY,
        f"https://{REGISTRY}",
        f"https://{REGISTRY}/v1/",
        f"http://{REGISTRY}/v2/",
        f"{REGISTRY}/team",
    ],
)
async def test_every_form_of_key(machine: Machine, key: str) -> None:
    """Docker, Podman and their ancestors write the registry differently."""
    machine.write(".docker/config.json", {"auths": {key: {"auth": encoded("me:a:b")}}})
    found = await machine.ask()
    assert found == Credential(
        username="me", password="a:b", source="~/.docker/config.json"
    )
    assert "a:b" not in repr(found)
    assert await machine.ask("other.test") is None


async def test_the_exact_key_wins(machine: Machine) -> None:
    """A namespace's entry does not hide the registry's own."""
    machine.write(
        ".docker/config.json",
        {
            "auths": {
                f"{REGISTRY}/team": {"auth": encoded("team:x")},
                REGISTRY: {"auth": encoded("all:x")},
            }
        },
    )
    found = await machine.ask()
    assert found is not None
    assert found.username == "all"


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"]
)
async def test_docker_hub_has_its_own_key(machine: Machine, key: str) -> None:
    """``docker login`` without a host writes another name than references have."""
    machine.write(".docker/config.json", {"auths": {key: {"auth": encoded("me:x")}}})
    assert await machine.ask("docker.io") is not None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"username": "me", "password": "x"}, Credential(username="me", password="x")),
        (
            {"auth": encoded("me:"), "identitytoken": "T"},
            Credential(username="me", identity_token="T"),
        ),
        ({"auth": encoded("<token>:T")}, Credential(identity_token="T")),
        ({"auth": encoded("me:x\0\0")}, Credential(username="me", password="x")),
        ({"email": "a@b"}, None),
        ({}, None),
        ("junk", None),
    ],
)
async def test_entries(
    machine: Machine, entry: object, expected: Credential | None
) -> None:
    """Passwords, identity tokens, Docker's padding, and nothing."""
    machine.write("auth.json", {"auths": {REGISTRY: entry}})
    machine.environ["REGISTRY_AUTH_FILE"] = str(machine.home / "auth.json")
    found = await machine.ask()
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.username, found.password, found.identity_token) == (
            expected.username,
            expected.password,
            expected.identity_token,
        )
        assert found.source == "~/auth.json"


async def test_files_are_asked_in_order(machine: Machine, tmp_path: Path) -> None:
    """Docker's file, the named one, the runtime's, the config's."""
    machine.environ |= {
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "named.json"),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    files = [
        tmp_path / "docker/config.json",
        tmp_path / "named.json",
        tmp_path / "run/containers/auth.json",
        tmp_path / "config/containers/auth.json",
    ]
    for number, file in reversed(list(enumerate(files))):
        machine.write(
            str(file), {"auths": {REGISTRY: {"auth": encoded(f"u{number}:x")}}}
        )
        found = await machine.ask()
        assert found is not None
        assert (found.username, found.source) == (f"u{number}", str(file))
    machine.environ.clear()
    machine.write(
        ".config/containers/auth.json", {"auths": {REGISTRY: {"auth": encoded("h:x")}}}
    )
    found = await machine.ask()
    assert found is not None
    assert found.username == "h"


@pytest.mark.parametrize(
    "content", ["{", "[]", '"text"', '{"auths": [], "credHelpers": 3}', ""]
)
async def test_damaged_files_are_skipped(machine: Machine, content: str) -> None:
    """The next file is asked, and the damage is told."""
    machine.write(".docker/config.json", content)
    machine.write(
        ".config/containers/auth.json", {"auths": {REGISTRY: {"auth": encoded("h:x")}}}
    )
    assert await machine.ask() is not None
    assert len(machine.warnings) == (0 if "credHelpers" in content else 1)


async def test_an_unreadable_file_is_skipped(machine: Machine) -> None:
    """A directory in its place is told about, a file in the directory's is not."""
    (machine.home / ".docker/config.json").mkdir(parents=True)
    (machine.home / ".config").write_text("no directory")
    assert await machine.ask() is None
    assert machine.warnings == [
        "cannot read credentials from ~/.docker/config.json: Is a directory"
    ]


@pytest.mark.parametrize("auth", ["&&&", encoded("no colon canary"), "w78="])
async def test_a_damaged_entry_is_told_without_its_text(
    machine: Machine, auth: str
) -> None:
    """Half a secret is a secret."""
    machine.write(".docker/config.json", {"auths": {REGISTRY: {"auth": auth}}})
    assert await machine.ask() is None
    (warning,) = machine.warnings
    assert REGISTRY in warning
    assert auth not in warning
    assert "canary" not in warning


# Helpers


def with_store(machine: Machine, name: str = "box") -> None:
    """Let Docker's config name a helper, and Podman's hold a password."""
    machine.write(".docker/config.json", {"credsStore": name, "auths": {REGISTRY: {}}})
    machine.write(
        ".config/containers/auth.json",
        {"auths": {REGISTRY: {"auth": encoded("next:x")}}},
    )


async def test_a_helper_is_asked_with_the_registry(machine: Machine) -> None:
    """The registry goes in by stdin, the credential comes out as JSON."""
    with_store(machine)
    machine.helper(
        "box",
        'read host; echo "{\\"ServerURL\\":\\"$host\\",'
        '\\"Username\\":\\"$1 $host\\",\\"Secret\\":\\"s\\"}"',
    )
    found = await machine.ask()
    assert found == Credential(
        username=f"get {REGISTRY}", password="s", source="docker-credential-box"
    )
    hub = await machine.ask("docker.io")
    assert hub is not None
    assert hub.username == "get https://index.docker.io/v1/"


async def test_the_registry_s_own_helper_goes_first(machine: Machine) -> None:
    """``credHelpers``, then ``credsStore``, then what the file holds."""
    machine.write(
        ".docker/config.json",
        {
            "credHelpers": {REGISTRY: "own"},
            "credsStore": "box",
            "auths": {"third.test": {"auth": encoded("file:x")}},
        },
    )
    machine.helper("own", """echo '{"Username":"<token>","Secret":"T"}'""")
    machine.helper(
        "box",
        'read host; case "$host" in second*)'
        """ echo '{"Username":"box","Secret":"x"}';;"""
        " *) echo credentials not found in native keychain; exit 1;; esac",
    )
    first = await machine.ask()
    assert first is not None
    assert (first.identity_token, first.username) == ("T", "")
    second = await machine.ask("second.test")
    assert second is not None
    assert second.username == "box"
    third = await machine.ask("third.test")
    assert third is not None
    assert third.username == "file"
    assert not machine.heard


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no JSON", "wrote no credential"),
        ("echo '[]'", "wrote no credential"),
        ("""echo '{"Username":"a"}'""", "wrote no credential"),
        ("""echo '{"Username":1,"Secret":[]}'""", "wrote no credential"),
        ("echo canary; echo canary >&2; exit 3", "exit code 3"),
        ("exec cat /dev/zero", "more than 65536 bytes"),
        ("yes | head -c 70000", "more than 65536 bytes"),
        (None, "is not in PATH"),
    ],
)
async def test_a_broken_helper_means_the_next_source(
    machine: Machine, script: str | None, told: str
) -> None:
    """The warning says what to try, and holds nothing the helper wrote."""
    with_store(machine)
    if script is not None:
        machine.helper("box", script)
    found = await machine.ask()
    assert found is not None
    assert found.username == "next"
    (warning,) = [event for event in machine.heard if isinstance(event, Warned)]
    assert told in warning.message
    assert "canary" not in warning.message
    assert f"echo {REGISTRY} | docker-credential-box get" in warning.hint


async def test_a_helper_that_is_no_program(machine: Machine) -> None:
    """What cannot be executed is told."""
    with_store(machine)
    file = machine.bin / "docker-credential-box"
    file.write_bytes(b"\x7fELF junk")
    file.chmod(0o755)
    found = await machine.ask()
    assert found is not None
    assert "does not run" in machine.warnings[0]


@pytest.mark.parametrize("name", ["../evil", "/bin/sh", "a b", "-x", "é", 7])
async def test_a_helper_s_name_is_a_word(machine: Machine, name: object) -> None:
    """A name from a file does not become a path."""
    machine.write(".docker/config.json", {"credHelpers": {REGISTRY: name}})
    assert await machine.ask() is None
    assert machine.warnings


async def test_a_hanging_helper_is_killed(machine: Machine, tmp_path: Path) -> None:
    """With everything it started, and the next source is asked."""
    with_store(machine)
    mark = tmp_path / "survived"
    machine.helper("box", f"(sleep 1; touch {mark}) & sleep 30")
    machine.patience = 0.2
    started = time.monotonic()
    found = await machine.ask()
    assert found is not None
    assert found.username == "next"
    assert "no answer in 0.2 s" in machine.warnings[0]
    assert time.monotonic() - started < 1
    await asyncio.sleep(1)
    assert not mark.exists()


async def test_an_empty_secret_is_none(machine: Machine) -> None:
    """A helper that has a name and no secret knows nothing."""
    machine.helper("box", """echo '{"Username":"a","Secret":""}'""")
    assert await ask_helper("box", "x", environ=machine.environ, seconds=9) is None
    machine.helper("box", """exec <&-; echo '{"Username":"a","Secret":"b"}'""")
    assert (
        await ask_helper("box", "x" * 200_000, environ=machine.environ, seconds=9)
        is not None
    )
    with pytest.raises(HelperError):
        await ask_helper("box", "x", environ={}, seconds=9)


async def test_many_ask_once(machine: Machine, tmp_path: Path) -> None:
    """Those who ask at once, or soon after, share one look-up; later it is renewed."""
    log = tmp_path / "log"
    with_store(machine)
    machine.helper(
        "box", f"""echo x >> {log}; echo '{{"Username":"a","Secret":"b"}}'"""
    )
    source = machine.credentials
    found = await asyncio.gather(*(source.credential(REGISTRY) for _ in range(10)))
    assert len(set(found)) == 1
    assert log.read_text().count("x") == 1
    source._known[REGISTRY] = (time.monotonic() - 1, None)
    assert await source.credential(REGISTRY) == found[0]
    assert log.read_text().count("x") == 2
    assert docker._REMEMBER_SECONDS == 300


async def test_cancelling_stops_the_helper(machine: Machine, tmp_path: Path) -> None:
    """A cancelled look-up leaves no process and no half answer."""
    mark = tmp_path / "started"
    with_store(machine)
    machine.helper("box", f"touch {mark}; sleep 30")
    task = asyncio.create_task(machine.credentials.credential(REGISTRY))
    while not mark.exists():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    machine.helper("box", """echo '{"Username":"a","Secret":"b"}'""")
    assert await machine.credentials.credential(REGISTRY) is not None
