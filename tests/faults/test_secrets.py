"""Secrets stay where they are: rows 45 to 48, with canaries planted everywhere.

One whole run against a registry with TLS and a password and an object store with keys:
it succeeds, fails in several ways, and is repeated by the command. Then everything that
it said or left behind is searched for the canaries, in plain and in base64.
"""

import base64
import dataclasses
import io
import json
import logging
import stat
import subprocess
import sys
import tarfile
import threading
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiodocker
import pytest
import structlog

from aweigh import ImageSpec, Settings, oci, open_session
from aweigh.archive.compress import unzstd
from aweigh.backends.objects.opening import open_store
from aweigh.backends.registry import RegistryClient
from aweigh.bundle.bundle import BundleUri
from aweigh.bundle.pack import open_manifest
from aweigh.errors import AweighError
from aweigh.events import Event, silent
from aweigh.image.attach import referrers_tag
from aweigh.image.image import Image
from aweigh.integrations.structlog import StructlogListener
from aweigh.oci import Manifest, Reference
from aweigh.settings import environment
from tests.backends.assembler.support import unpacked_layer, write_wheel
from tests.backends.resolver.place import Index
from tests.services import Services


def canary(name: str) -> str:
    """Return a secret that is found wherever it goes."""
    return f"canary-{name}-{uuid.uuid4().hex}"


@dataclass(slots=True)
class Canaries:
    """The secrets of one run, and every text in which none of them may be.

    Attributes:
        secrets: By name: what must not be seen.
        seen: By name: what was said or left behind.
    """

    secrets: dict[str, str]
    seen: dict[str, bytes] = field(default_factory=dict)

    def note(self, where: str, what: str | bytes) -> None:
        """Keep what was said or left behind somewhere."""
        new = what if isinstance(what, bytes) else what.encode(errors="replace")
        self.seen[where] = self.seen.get(where, b"") + b"\n" + new

    def note_error(self, where: str, error: BaseException) -> None:
        """Keep all that an error shows, to people and in logs."""
        shown = [str(error), repr(error), *traceback.format_exception(error)]
        shown += getattr(error, "__notes__", [])
        shown += [f"{key}={value!r}" for key, value in vars(error).items()]
        self.note(where, "\n".join(shown))

    def found(self) -> list[str]:
        """Return which secret was seen where."""
        return [
            f"{name} in {where}"
            for where, text in self.seen.items()
            for name, secret in self.secrets.items()
            for form in _forms(secret)
            if form in text
        ]


def _forms(secret: str) -> set[bytes]:
    """Return a secret as it is and as base64 shows it, at each of three offsets."""
    plain = secret.encode()
    return {plain} | {
        base64.b64encode(b"." * offset + plain)[4 : -4 - (4 if offset else 0)]
        for offset in range(3)
    }


def test_the_search_finds_what_is_there() -> None:
    """A secret in plain, or in a `name:password` in base64, is seen."""
    for text in (
        b"password=hunter2-hunter2",
        base64.b64encode(b"user:hunter2-hunter2"),
        base64.b64encode(b"sailor:hunter2-hunter2"),
        base64.b64encode(b"x:hunter2-hunter2"),
    ):
        canaries = Canaries({"it": "hunter2-hunter2"})
        canaries.note("here", text)
        assert canaries.found() == ["it in here"]
    canaries = Canaries({"it": "hunter2-hunter2"})
    canaries.note("here", b"hunter3-hunter3")
    assert canaries.found() == []


@pytest.fixture
def planted(services: Services) -> Canaries:
    """Return the canaries; the registry's password is the one it really has."""
    return Canaries(
        {
            "registry password": services.secure_password,
            "wrong registry password": canary("wrong"),
            "index password": canary("index"),
            "netrc password": canary("netrc"),
            "index token": canary("token"),
            "aws secret key": canary("aws"),
            "aws session token": canary("session"),
            "dotenv": canary("dotenv"),
            "key file": canary("key"),
            "cloud file": canary("cloud"),
        }
    )


@pytest.fixture
def home(
    tmp_path: Path,
    services: Services,
    planted: Canaries,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return a home directory with logins, and an environment with more of them."""
    secrets = planted.secrets
    home = tmp_path / "home"
    log_in(home, services, secrets["registry password"])
    netrc = f"machine index.example login me password {secrets['netrc password']}\n"
    (home / ".netrc").write_text(netrc)
    for name, value in {
        "HOME": str(home),
        "DOCKER_CONFIG": str(home / ".docker"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "NETRC": str(home / ".netrc"),
        "UV_INDEX_URL": f"https://me:{secrets['index password']}@index.example/simple",
        "UV_INDEX_PRIVATE_PASSWORD": secrets["index password"],
        "PIP_INDEX_URL": f"https://me:{secrets['index password']}@index.example/simple",
        "AWS_ENDPOINT_URL": services.s3_endpoint,
        "AWS_ACCESS_KEY_ID": services.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": secrets["aws secret key"],
        "AWS_SESSION_TOKEN": secrets["aws session token"],
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return home


def log_in(home: Path, services: Services, password: str) -> None:
    """Write what `docker login` writes."""
    pair = f"{services.secure_username}:{password}".encode()
    auths = {services.secure_registry: {"auth": base64.b64encode(pair).decode()}}
    (home / ".docker").mkdir(parents=True, exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))


@pytest.fixture
def source(tmp_path: Path, planted: Canaries) -> Path:
    """Return a project with secrets lying about in it."""
    secrets = planted.secrets
    source = tmp_path / "project" / "src"
    for name, text in {
        "main.py": "print('hi')\n",
        ".env": f"TOKEN={secrets['dotenv']}\n",
        "conf/.env.production": f"TOKEN={secrets['dotenv']}\n",
        "id_rsa": f"-----BEGIN PRIVATE KEY-----\n{secrets['key file']}\n",
        "deploy/server.key": secrets["key file"],
        "deploy/server.pem": secrets["key file"],
        ".ssh/config": secrets["key file"],
        ".netrc": f"machine x password {secrets['netrc password']}\n",
        ".pypirc": f"password = {secrets['index password']}\n",
        ".git-credentials": f"https://me:{secrets['cloud file']}@x\n",
        ".aws/credentials": f"aws_secret_access_key = {secrets['aws secret key']}\n",
        ".docker/config.json": secrets["cloud file"],
        ".kube/config": secrets["cloud file"],
        ".git/config": f"url = https://me:{secrets['cloud file']}@x\n",
    }.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return source


@pytest.fixture
def secure(services: Services, tmp_path: Path, home: Path) -> Settings:
    """Return settings for a registry with a password and a store with keys."""
    assert home.is_dir()
    nonce = uuid.uuid4().hex
    return Settings(
        registry=f"{services.secure_registry}/t/{nonce}",
        store=f"s3://{services.s3_bucket}/t/{nonce}",
        engine=services.engine,
        cache_dir=tmp_path / "cache",
        data_dir=tmp_path / "data",
        insecure_registries=(services.secure_registry,),
    )


@pytest.fixture
def python_log(planted: Canaries) -> Iterator[None]:
    """Keep everything that any library logs, at the lowest level."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(handler)
    root.setLevel(level)
    planted.note("the logs of all libraries", stream.getvalue())


class Listener:
    """Keeps the text of every event, and what structlog makes of it."""

    def __init__(self, planted: Canaries) -> None:
        self._planted = planted
        self._stream = io.StringIO()
        logger = structlog.wrap_logger(
            structlog.PrintLogger(self._stream),
            processors=[structlog.processors.JSONRenderer(default=str)],
        )
        self._log = StructlogListener(logger)
        self.count = 0

    def __call__(self, event: Event, /) -> None:
        """Keep an event."""
        self.count += 1
        self._planted.note("events", f"{event!r} {event}")
        self._log(event)

    def close(self) -> None:
        """Hand over what was logged."""
        logged = self._stream.getvalue()
        assert logged.count("\n") == self.count
        self._planted.note("structlog", logged)


@pytest.mark.usefixtures("python_log")
async def test_a_whole_run_shows_no_secret(
    secure: Settings,
    services: Services,
    planted: Canaries,
    source: Path,
    home: Path,
) -> None:
    """Success, failures, files, objects, image and command: no canary anywhere."""
    listener = Listener(planted)
    spec = (
        ImageSpec("secret", base=services.secure_base)
        .with_env(NONCE=uuid.uuid4().hex)
        .with_files(str(source), "/app")
        .with_run("env; cat /root/.netrc /root/.docker/config.json || true")
    )
    async with open_session(secure, listener=listener) as session:
        ready = await session.prepare(spec, source)
        assert (ready.image.origin, ready.bundle.origin) == ("built", "uploaded")
        again = await session.prepare(spec, source)
        assert again.image.origin == "recalled"
        planted.note("answers", f"{ready!r} {ready} {session.settings!r}")
        planted.note("plan", repr(await session.explain(spec, source)))
        registry = await session.backends.registry()  # type: ignore[attr-defined]
        await search_image(registry, ready.image, planted)
    await search_bundle(ready.bundle.uri, planted)
    await fail_in_every_way(secure, services, planted, home, listener)
    listener.close()
    search_files(secure.cache_dir, planted)
    search_files(secure.data_dir, planted)
    log_in(home, services, planted.secrets["registry password"])
    run_commands(secure, services, planted, source)
    log_in(home, services, planted.secrets["wrong registry password"])
    failing = (("prepare", "pyproject.toml", "src"), ("doctor",))
    run_commands(secure, services, planted, source, failing)
    assert planted.found() == []


async def search_image(
    registry: RegistryClient, image: Image, planted: Canaries
) -> None:
    """Keep the image's manifests, config, history and layers, base's included."""
    got = await registry.get_manifest(Reference.parse(str(image)))
    assert got is not None
    assert isinstance(got[0], oci.Index)
    planted.note("index", got[2])
    for entry in got[0].manifests:
        reference = image.reference.with_digest(entry.digest)
        one = await registry.get_manifest(reference)
        assert one is not None
        assert isinstance(one[0], Manifest)
        planted.note("manifest", one[2])
        config = await registry.read_blob(reference, one[0].config)
        assert b'"history"' in config
        planted.note("config and history", config)
        files = 0
        # The base's own layers come first, and are large.
        for layer in one[0].layers[1:]:
            packed = await registry.read_blob(reference, layer)
            plain = unpacked_layer(packed, layer.media_type)
            with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
                for member in archive:
                    files += member.isfile()
                    content = archive.extractfile(member) if member.isfile() else None
                    planted.note("layers", member.name)
                    planted.note("layers", content.read() if content else b"")
        assert files > 0
    assert b"main.py" in planted.seen["layers"]


async def search_contents(
    registry: RegistryClient, image: Image, planted: Canaries
) -> None:
    """Keep what is attached to the image: the lists of its contents."""
    got = await registry.get_manifest(Reference.parse(str(image)))
    assert got is not None
    assert isinstance(got[0], oci.Index)
    for entry in got[0].manifests:
        listed = await registry.get_manifest(referrers_tag(image.reference, entry))
        assert listed is not None
        assert isinstance(listed[0], oci.Index)
        for one in listed[0].manifests:
            found = await registry.get_manifest(image.reference.with_digest(one.digest))
            assert found is not None
            assert isinstance(found[0], Manifest)
            planted.note("attached manifest", found[2])
            for layer in found[0].layers:
                content = await registry.read_blob(image.reference, layer)
                planted.note("list of contents", content)
    assert b"CycloneDX" in planted.seen["list of contents"]


@pytest.fixture
def index(
    tmp_path: Path, planted: Canaries, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Index]:
    """Return an index with a package, for those who know the password."""
    write_wheel(
        tmp_path / "dist", "secretive", {"secretive.py": "x = 1\n"},
        scripts={"secretive": "secretive:x"},
    )  # fmt: skip
    index = Index(tmp_path / "dist")
    index.password = planted.secrets["index password"]
    # What other tests have there is not to be asked.
    for name in ("UV_INDEX_URL", "UV_INDEX_PRIVATE_PASSWORD", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    thread = threading.Thread(target=index.server.serve_forever, args=(0.01,))
    thread.start()
    yield index
    index.server.shutdown()
    thread.join()
    index.server.server_close()


def tell_password(
    way: str, index: Index, password: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give uv the credentials of an index, in one of the ways it knows."""
    host = index.host
    match way:
        case "url":
            url = f"http://user:{password}@{host}/simple"
            monkeypatch.setenv("UV_DEFAULT_INDEX", url)
        case "variables":
            monkeypatch.setenv("UV_DEFAULT_INDEX", f"private=http://{host}/simple")
            monkeypatch.setenv("UV_INDEX_PRIVATE_USERNAME", "user")
            monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD", password)
        case _:
            monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://{host}/simple")
            machine = host.partition(":")[0]
            (home / ".netrc").write_text(
                f"machine {machine} login user password {password}\n"
            )


@pytest.mark.usefixtures("python_log")
@pytest.mark.parametrize("way", ["url", "variables", "netrc"])
async def test_the_assembler_shows_no_secret(  # noqa: PLR0917 - fixtures
    secure: Settings,
    services: Services,
    planted: Canaries,
    source: Path,
    home: Path,
    index: Index,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an index or a registry: neither in what it pushes nor in what it keeps."""
    secrets = planted.secrets
    listener = Listener(planted)
    settings = dataclasses.replace(
        secure, builder="assemble", engine=f"unix://{secure.cache_dir}/no.sock"
    )
    spec = (
        ImageSpec("secret", base=services.secure_base)
        .with_packages("secretive")
        .with_env(NONCE=uuid.uuid4().hex)
        .with_files(str(source), "/app")
    )
    tell_password(way, index, secrets["index password"], home, monkeypatch)
    async with open_session(settings, listener=listener) as session:
        planted.note("plan", repr(await session.explain(spec)))
        image = await session.ensure_image(spec)
        planted.note("answers", f"{image!r} {image}")
        registry = await session.backends.registry()  # type: ignore[attr-defined]
        await search_image(registry, image, planted)
        await search_contents(registry, image, planted)
    assert b"secretive" in planted.seen["layers"]
    assert any("/files/" in path for path in index.asked)
    tell_password(way, index, secrets["wrong registry password"], home, monkeypatch)
    log_in(home, services, secrets["registry password"])
    other = spec.with_packages("secretive==1.0", "another").with_env(N=uuid.uuid4().hex)
    async with open_session(settings, listener=listener) as session:
        with pytest.raises(AweighError) as caught:
            await session.ensure_image(other)
        planted.note_error("errors of the resolver", caught.value)
    log_in(home, services, secrets["wrong registry password"])
    async with open_session(settings, listener=listener) as session:
        with pytest.raises(AweighError) as caught:
            await session.ensure_image(spec.with_env(N=uuid.uuid4().hex))
        planted.note_error("errors of logins", caught.value)
    listener.close()
    search_files(settings.cache_dir, planted)
    search_files(settings.data_dir, planted)
    assert planted.found() == []


async def search_bundle(uri: str, planted: Canaries) -> None:
    """Keep the bundle's objects, decompressed."""
    bundle = BundleUri.parse(uri)
    async with open_store(str(bundle.store), listener=silent) as store:
        stored = b"".join([chunk async for chunk in store.get(bundle.manifest)])
        planted.note("bundle", b"".join(unzstd(iter([stored]), limit=1 << 26)))
        manifest = open_manifest(stored, bundle.digest, name=uri)
        for pack in manifest.packs:
            packed = b"".join([chunk async for chunk in store.get(pack.name)])
            planted.note("bundle", b"".join(unzstd(iter([packed]), limit=1 << 26)))
    assert b"main.py" in planted.seen["bundle"]
    planted.note("bundle's name", uri)


async def fail_in_every_way(
    secure: Settings,
    services: Services,
    planted: Canaries,
    home: Path,
    listener: Listener,
) -> None:
    """Keep what errors show that have a secret near them."""
    secrets = planted.secrets
    token = secrets["index token"]
    base = ImageSpec("secret", base=services.secure_base)
    url = f"https://me:{token}@index.example/simple"
    for change in (
        lambda: base.with_packages("a", index_url=url),
        lambda: base.with_packages("a", extra_index_urls=[url]),
        lambda: base.with_packages("a", find_links=[url]),
        lambda: base.with_packages(f"a @ {url}/a.whl"),
        lambda: ImageSpec(f"me:{token}@registry.example/name"),
        lambda: ImageSpec("name", base=f"me:{token}@registry.example/base"),
        lambda: BundleUri.parse(f"s3://me:{token}@bucket/bundles/0"),
    ):
        with pytest.raises(AweighError) as caught:
            change()
        planted.note_error("errors of values", caught.value)
    requirements = home / "requirements.txt"
    requirements.write_text(f"--index-url {url}\nhumanize\n")
    missing = base.replace(base=f"{services.secure_registry}/no/such:base")
    broken = base.with_run(f"echo {uuid.uuid4().hex}; exit 3")
    async with open_session(secure, listener=listener) as session:
        for spec in (base.with_requirements(requirements), missing, broken):
            with pytest.raises(AweighError) as caught:
                await session.ensure_image(spec, rebuild=True)
            planted.note_error("errors of builds", caught.value)
    log_in(home, services, secrets["wrong registry password"])
    async with open_session(secure, listener=listener) as session:
        for forced in (False, True):
            other = base.with_env(NONCE=uuid.uuid4().hex)
            with pytest.raises(AweighError) as caught:
                await session.ensure_image(other, rebuild=forced)
            planted.note_error("errors of logins", caught.value)


def search_files(folder: Path, planted: Canaries) -> None:
    """Keep the bytes and names of every file, journals and locks included."""
    if not folder.exists():
        return
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        planted.note(f"{path.suffix} files", path.read_bytes())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path  # row 47
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


COMMANDS = (
    ("prepare", "pyproject.toml", "src", "--json"),
    ("explain", "pyproject.toml", "src", "--json"),
    ("bundle", "src", "--dry-run"),
    ("cache", "ls", "--json"),
    ("doctor",),
    ("doctor", "--json"),
)


def run_commands(
    secure: Settings,
    services: Services,
    planted: Canaries,
    source: Path,
    commands: tuple[tuple[str, ...], ...] = COMMANDS,
) -> None:
    """Keep everything that the command prints."""
    project = source.parent
    (project / "pyproject.toml").write_text(
        f'[tool.aweigh.image]\nname = "secret"\nbase = "{services.secure_base}"\n'
        f'env = {{ NONCE = "{uuid.uuid4().hex}" }}\nfiles = {{ src = "/app" }}\n'
    )
    environ = environment() | {
        "AWEIGH_REGISTRY": str(secure.registry),
        "AWEIGH_STORE": str(secure.store),
        "AWEIGH_ENGINE": str(secure.engine),
        "AWEIGH_CACHE_DIR": str(secure.cache_dir),
        "AWEIGH_DATA_DIR": str(secure.data_dir),
        "AWEIGH_INSECURE_REGISTRIES": services.secure_registry,
    }
    for argv in commands:
        done = subprocess.run(
            [sys.executable, "-m", "aweigh", *argv],
            cwd=project,
            env=environ,
            check=False,
            capture_output=True,
            timeout=120,
        )
        assert done.stdout or done.stderr
        planted.note(f"command {argv[0]}", done.stdout + b"\n" + done.stderr)


async def test_the_engine_knows_no_secret_of_a_local_image(
    secure: Settings, services: Services, planted: Canaries, source: Path
) -> None:
    """Config, labels, environment and history of an image in the engine are clean."""
    local = Settings(
        engine=secure.engine,
        cache_dir=secure.cache_dir,
        data_dir=secure.data_dir,
        insecure_registries=secure.insecure_registries,
    )
    spec = (
        ImageSpec("secret-local", base=services.secure_base)
        .with_env(NONCE=uuid.uuid4().hex)
        .with_files(str(source), "/app")
    )
    async with (
        open_session(local) as session,
        aiodocker.Docker(url=services.engine) as docker,
    ):
        image = await session.ensure_image(spec)
        try:
            inspected: Any = await docker.images.inspect(str(image))
            history: Any = await docker.images.history(str(image))
        finally:
            await docker.images.delete(str(image), force=True)
    assert inspected["Config"]["Labels"]["aweigh.spec-digest"]
    assert history
    planted.note("engine", json.dumps([inspected, history]))
    assert planted.found() == []


def test_row_47_a_directory_made_by_somebody_else_is_not_used(
    tmp_path: Path,
) -> None:
    """An attacker's world-writable cache directory is left alone; answers are right."""
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("1")
    environ = environment() | {
        "AWEIGH_CACHE_DIR": str(cache),
        "AWEIGH_DATA_DIR": str(tmp_path / "data"),
    }
    for origin in ("uploaded", "found"):
        done = subprocess.run(
            [sys.executable, "-m", "aweigh", "bundle", str(tmp_path / "src"), "--json"],
            env=environ,
            check=True,
            capture_output=True,
            timeout=60,
        )
        assert json.loads(done.stdout)["origin"] == origin
    assert not list(cache.glob("*.db*"))
