"""Images without registry and engine: assembled into a directory that others read."""

import asyncio
import dataclasses
import json
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from aweigh import Image, ImageSpec, Settings, open_session
from aweigh.backends.registry import open_registry
from aweigh.errors import (
    LayoutError,
    RegistryUnavailableError,
    SpecError,
    UndecidedError,
)
from aweigh.events import BlobPushed, BuildStarted, BuildStepFinished, Warned, silent
from aweigh.oci import Digest, Index
from aweigh.oci.layout import blob_path
from aweigh.oci.manifest import OCI_INDEX
from aweigh.settings import environment
from aweigh.testing import FakeClock, FakeRegistry, RecordingListener
from tests.backends.assembler.support import AMD64, ARM64, SmallBase
from tests.backends.registry_support import Nobody
from tests.cli.conftest import Done
from tests.services import Services
from tests.test_builders import SCRIPT

PROGRAM = """
import asyncio, sys
from pathlib import Path
from aweigh import ImageSpec, Settings, open_session

async def main():
    base, place, name = sys.argv[1:]
    settings = Settings(
        builder="assemble", cache_dir=Path(place, name), data_dir=Path(place, "data")
    )
    spec = ImageSpec(name, base=base).with_packages("idna==3.10").with_env(NAME=name)
    print("ready", flush=True)
    sys.stdin.readline()
    async with open_session(settings) as session:
        print(await session.ensure_image(spec), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def nowhere(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Return settings without a registry, on a machine without an engine."""
    del services  # bases come from its registry
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return Settings(
        builder="auto", cache_dir=tmp_path / "cache", data_dir=tmp_path / "data"
    )


@pytest.fixture
def spec(services: Services) -> ImageSpec:
    """Describe an image with two small packages."""
    return ImageSpec("train", base=services.base).with_packages(
        "humanize==4.13.0", "idna==3.10"
    )


def tool(*argv: str) -> str:
    """Run a foreign tool and return what it prints."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def ensure(
    settings: Settings, spec: ImageSpec
) -> tuple[Image, RecordingListener]:
    """Ensure an image in a session of its own; return it and what was heard."""
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        return await session.ensure_image(spec), heard


async def test_it_is_built_then_recalled(nowhere: Settings, spec: ImageSpec) -> None:
    """It goes into the layout, with a warning; the second answer asks for no engine."""
    image, heard = await ensure(nowhere, spec)
    assert (image.origin, image.location) == ("built", "layout")
    assert image.layout == nowhere.data_dir / "images"
    assert str(image) == f"oci:{image.layout}@{image.digest}"
    assert str(image.reference).startswith("localhost/train:aw-")
    (warned,) = heard.of(Warned)
    assert "no engine is running" in warned.message
    assert "assemble" in warned.hint
    again, heard = await ensure(nowhere, spec)
    assert again == dataclasses.replace(image, origin="recalled")
    assert heard.of(Warned) == []
    forgotten = dataclasses.replace(nowhere, cache_dir=nowhere.data_dir / "empty")
    found, heard = await ensure(forgotten, spec)
    assert (found.origin, found.digest) == ("found", image.digest)
    assert heard.of(BuildStarted) == []


async def test_assemble_asks_for_no_engine(nowhere: Settings, spec: ImageSpec) -> None:
    """Whoever wants no engine is not told that there is none."""
    image, heard = await ensure(dataclasses.replace(nowhere, builder="assemble"), spec)
    assert image.location == "layout"
    assert heard.of(Warned) == []


async def test_a_package_more_reuses_all_blobs_but_its_own(
    nowhere: Settings, spec: ImageSpec
) -> None:
    """Also under another name, and the layers are not made again."""
    await ensure(nowhere, spec)
    more = spec.replace(name="team/other").with_packages("certifi")
    _, heard = await ensure(nowhere, more)
    made = [event.step for event in heard.of(BuildStepFinished) if not event.cached]
    assert len([step for step in made if "light-" in step]) == 1
    base = [event for event in heard.of(BlobPushed) if event.layer.startswith("base")]
    assert base
    assert all(event.reused for event in base)


async def test_foreign_tools_read_it(
    nowhere: Settings, spec: ImageSpec, services: Services, tmp_path: Path
) -> None:
    """Skopeo takes what we print, and names; umoci unpacks; an engine runs it."""
    image, _ = await ensure(nowhere, spec)
    await ensure(nowhere, spec.with_env(OTHER="image"))
    named = f"oci:{image.layout}:{image.reference}"
    shown = [json.loads(tool("skopeo", "inspect", it)) for it in (str(image), named)]
    assert shown[0] == shown[1]
    raw = tool("skopeo", "inspect", "--raw", str(image))
    assert Digest.of(raw.encode()) == image.digest
    target = f"{services.registry}/t/{uuid.uuid4().hex}:1"
    copy = ("skopeo", "copy", "--all", "--dest-tls-verify=false", str(image))
    tool(*copy, f"docker://{target}")
    pushed = tool(
        "skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{target}"
    )
    assert pushed == raw
    unpacked = tmp_path / "unpacked"
    place = f"{image.layout}:{image.reference}"
    tool("umoci", "unpack", "--rootless", "--image", place, str(unpacked))
    assert (unpacked / "rootfs/opt/venv/pylock.toml").is_file()
    local = f"docker.io/library/layout-{uuid.uuid4().hex}:1"
    host = ("--host", services.engine)
    to_engine = ("--dest-daemon-host", services.engine)
    tool("skopeo", "copy", *to_engine, str(image), f"docker-daemon:{local}")
    try:
        run = ("docker", *host, "run", "--rm", "--network=none", local)
        assert tool(*run, "python", "-c", SCRIPT) == "12,345 xn--4ca\n"
    finally:
        tool("docker", *host, "rmi", "--force", local)


async def test_several_platforms_in_one_layout(
    nowhere: Settings, services: Services
) -> None:
    """A layout holds them under one index, also when one comes later."""
    wanted = ["linux/amd64", "linux/arm64"]
    async with FakeRegistry() as fake:
        spec = ImageSpec("many", base=await both_platforms(fake)).with_env(A="b")
        async with open_session(nowhere) as session:
            first = await session.ensure_image(spec, platforms=wanted[:1])
            assert set(map(str, first.platforms)) == set(wanted[:1])
            both = await session.ensure_image(spec, platforms=wanted)
            assert set(map(str, both.platforms)) == set(wanted)
        for platform in ("amd64", "arm64"):
            argv = ("skopeo", "inspect", "--override-arch", platform, str(both))
            assert json.loads(tool(*argv))["Architecture"] == platform
        engine = dataclasses.replace(nowhere, engine=services.engine)
        async with open_session(engine) as session:
            with pytest.raises(SpecError, match="holds one"):
                await session.ensure_image(spec, platforms=wanted)


async def both_platforms(fake: FakeRegistry) -> str:
    """Let a registry hold a base for two platforms; return its name."""
    async with open_registry(Nobody(), listener=silent) as client:
        entries = []
        for platform in (AMD64, ARM64):
            base = SmallBase(platform=platform).hold(fake)
            found = await client.head_manifest(base)
            assert found is not None
            entries.append(dataclasses.replace(found, platform=platform))
        name = base.with_tag("both")
        content = Index(manifests=tuple(entries)).to_bytes()
        await client.put_manifest(name, content, OCI_INDEX)
    return str(name)


async def test_what_executes_is_refused(nowhere: Settings, spec: ImageSpec) -> None:
    """Without an engine nothing can run in an image; the error names the step."""
    with pytest.raises(SpecError, match=r"with_apt\('git'\)") as caught:
        await ensure(nowhere, spec.with_apt("git"))
    assert "engine" in caught.value.hint
    assert not list((nowhere.data_dir / "images").glob("blobs/*/*"))


async def test_an_engine_that_is_named_is_wanted(
    nowhere: Settings, spec: ImageSpec
) -> None:
    """Then its absence is an error and no reason to go elsewhere."""
    engine = f"unix://{nowhere.data_dir}/no.sock"
    named = dataclasses.replace(nowhere, engine=engine)
    with pytest.raises(UndecidedError, match=r"no\.sock"):
        await ensure(named, spec)
    assert not nowhere.data_dir.exists()


async def test_an_engine_that_answers_holds_the_image(
    nowhere: Settings,
    services: Services,
    spec: ImageSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A layout is what there is without one; its fresh rows count on, as any do."""
    in_layout, _ = await ensure(nowhere, spec)
    monkeypatch.setenv("DOCKER_HOST", services.engine)
    still, _ = await ensure(nowhere, spec)
    assert still.digest == in_layout.digest
    image, heard = await ensure(nowhere, spec.with_env(NONCE=uuid.uuid4().hex))
    try:
        assert image.location == "engine"
        assert heard.of(Warned) == []
    finally:
        tool("docker", "--host", services.engine, "rmi", "--force", str(image))


async def test_an_engine_that_came_later_runs_it(
    nowhere: Settings,
    spec: ImageSpec,
    services: Services,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was assembled before there was an engine is no obstacle to running it."""
    code = tmp_path / "src"
    code.mkdir()
    (code / "main.py").write_text("print(1)\n")
    named = spec.replace(name=f"later-{uuid.uuid4().hex[:8]}")
    async with open_session(nowhere) as session:
        before = await session.ensure_image(named)
    monkeypatch.setenv("DOCKER_HOST", services.engine)
    docker = ("docker", "--host", services.engine)
    try:
        async with open_session(nowhere) as session:
            result = await session.run(named, code, ["python3", "main.py"])
    finally:
        made = tool(*docker, "image", "ls", "--quiet", named.name).split()
        tool(*docker, "rmi", "--force", *dict.fromkeys(made))
    assert (before.location, result.ready.image.location) == ("layout", "engine")
    assert result.exit_code == 0


async def test_a_deleted_layout_is_noticed_at_once(
    nowhere: Settings, spec: ImageSpec
) -> None:
    """That is how people make room; a fresh row does not outlive its file."""
    image, _ = await ensure(nowhere, spec)
    assert image.layout is not None
    shutil.rmtree(image.layout)
    again, _ = await ensure(nowhere, spec)
    assert (again.origin, again.digest) == ("built", image.digest)


async def test_a_stale_answer_is_verified_in_the_layout(
    nowhere: Settings, spec: ImageSpec
) -> None:
    """A layer that is gone makes it Absent: it is built again, and whole."""
    image, _ = await ensure(nowhere, spec)
    clock = FakeClock()
    async with open_session(nowhere, clock=clock) as session:
        await session.invalidate(image)
        image = await session.ensure_image(spec)
        assert image.origin == "found"
        clock.advance(2 * nowhere.image_fresh_for)
        renewed = await session.ensure_image(spec)
        assert (renewed.origin, renewed.verified_at) == ("recalled", clock())
        manifest = json.loads(tool("skopeo", "inspect", "--raw", str(image)))
        entry = Digest.parse(manifest["manifests"][0]["digest"])
        assert image.layout is not None
        layers = json.loads(blob_path(image.layout, entry).read_bytes())["layers"]
        blob_path(image.layout, Digest.parse(layers[0]["digest"])).unlink()
        clock.advance(2 * nowhere.image_fresh_for)
        image = await session.ensure_image(spec)
        assert image.origin == "built"
    tool("skopeo", "copy", str(image), f"oci:{nowhere.data_dir}/copy:1")


async def test_a_damaged_index_is_an_error(nowhere: Settings, spec: ImageSpec) -> None:
    """Nobody can say what is there, and nothing is overwritten."""
    image, _ = await ensure(nowhere, spec)
    index = nowhere.data_dir / "images" / "index.json"
    index.write_text("{")
    async with open_session(nowhere) as session:
        await session.invalidate(image)
        with pytest.raises(UndecidedError, match="damaged") as caught:
            await session.ensure_image(spec)
        assert "delete" in caught.value.hint
        with pytest.raises(LayoutError, match="damaged"):
            await session.ensure_image(spec, rebuild=True)
    assert index.read_text() == "{"


async def test_a_base_that_cannot_be_reached_is_an_error(nowhere: Settings) -> None:
    """Bases come from registries, also here."""
    spec = ImageSpec("train", base="127.0.0.1:1/no/base:1").with_env(A="b")
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1:1"):
        await ensure(nowhere, spec)


async def test_explain_says_where_it_would_be(
    nowhere: Settings, spec: ImageSpec
) -> None:
    """Before and after, and it writes nothing."""
    async with open_session(nowhere) as session:
        plan = await session.explain(spec)
        assert plan.image.tier == "build"
        assert "layout" in plan.image.reason
        assert not nowhere.data_dir.exists()
        image = await session.ensure_image(spec)
        await session.invalidate(image)
        assert (await session.explain(spec)).image.tier == "layout"


async def test_offline_only_memory_answers(nowhere: Settings, spec: ImageSpec) -> None:
    """What is remembered of the layout counts; nobody is asked for anything else."""
    image, _ = await ensure(nowhere, spec)
    offline = dataclasses.replace(nowhere, offline=True)
    again, heard = await ensure(offline, spec)
    assert again.digest == image.digest
    with pytest.raises(UndecidedError, match="offline"):
        await ensure(offline, spec.with_env(A="b"))
    assert heard.of(Warned) == []


def start(services: Services, tmp_path: Path, name: str) -> subprocess.Popen[str]:
    """Start a process with a cache of its own that waits, then ensures an image."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, services.base, str(tmp_path), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


async def test_processes_share_a_layout(services: Services, tmp_path: Path) -> None:
    """Two that add images at the same time both succeed, and both images are there."""
    processes = [start(services, tmp_path, name) for name in ("one", "two")]
    for process in processes:
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
    for process in processes:
        printed = await asyncio.to_thread(process.communicate, timeout=120)
        assert process.returncode == 0
        tool("skopeo", "inspect", printed[0].strip())


async def test_killed_builds_leave_a_sound_layout(
    services: Services, tmp_path: Path
) -> None:
    """Whenever it hits: every blob is whole, and the next run succeeds and tidies."""
    layout = tmp_path / "data" / "images"
    for round_ in range(4):
        process = start(services, tmp_path, "victim")
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
        await asyncio.sleep(0.3 + 0.3 * round_)
        process.kill()
        process.communicate()
        for path in layout.glob("blobs/sha256/*"):
            assert Digest.of(path.read_bytes()).hex == path.name
    process = start(services, tmp_path, "victim")
    printed, _ = process.communicate("\n", timeout=120)
    tool("skopeo", "inspect", printed.strip())
    assert not list((layout / ".aweigh").glob("partial-*"))


def test_the_command_line(services: Services, tmp_path: Path) -> None:
    """`ensure` prints what skopeo takes; the doctor finds nothing broken, or says."""
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.aweigh.image]\nname = "t"\nbase = "{services.base}"\n'
    )
    environ = environment() | {
        "AWEIGH_BUILDER": "auto",
        "AWEIGH_CACHE_DIR": str(tmp_path / "cache"),
        "AWEIGH_DATA_DIR": str(tmp_path / "data"),
        "DOCKER_HOST": f"unix://{tmp_path}/no.sock",
        "DOCKER_CONFIG": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
    }

    def aweigh(*argv: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "aweigh", *argv],
            env=environ,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    printed = aweigh("ensure")
    assert printed.code == 0, printed.err
    tool("skopeo", "inspect", printed.out.strip())
    told = aweigh("ensure", "--json").json
    assert (told["location"], told["origin"]) == ("layout", "recalled")
    doctor = aweigh("doctor", "--json")
    assert doctor.code == 0, doctor.out
    assert "images of Python packages" in doctor.json["engine"]["detail"]
    assert f"{tmp_path}/data/images" in doctor.json["registry"]["detail"]
    (tmp_path / "data" / "images" / "index.json").write_text("[")
    environ["AWEIGH_BUILDER"] = "assemble"
    doctor = aweigh("doctor", "--json")
    assert doctor.code == 1
    assert doctor.json["engine"]["level"] == "note"
    assert "delete" in doctor.json["registry"]["hint"]
