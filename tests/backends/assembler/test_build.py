"""Images are assembled from wheels, reused by key, and the same on every machine."""

import asyncio
import io
import json
import os
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import zstandard

from aweigh.backends.assembler import AssembleBuilder, needs_engine
from aweigh.backends.assembler.bytecode.bytecode import Compiler, Compilers
from aweigh.backends.registry import open_registry
from aweigh.errors import BuildError, ChangedError, RegistryError, SpecError
from aweigh.events import BlobPushed, BuildLogged, BuildStepFinished, Warned, silent
from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.plan import plan_layers
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Digest, Index, Manifest, Reference
from aweigh.oci.manifest import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
)
from aweigh.settings import environment
from aweigh.testing import DictMemory, FakeRegistry
from tests.backends.assembler.conftest import Yard
from tests.backends.assembler.support import (
    AMD64,
    ARM64,
    SmallBase,
    WheelResolver,
    request_of,
    root_files,
    tar,
    write_wheel,
)
from tests.backends.registry_support import Nobody

NO_LIBC: dict[str, bytes | str] = {
    "usr/bin/python3.11": b"",
    "usr/bin/python3": "python3.11",
}
SITE = "opt/venv/lib/python3.11/site-packages"


def spec_on(base: Reference) -> ImageSpec:
    """Describe an image with the wheels in ``dist``."""
    return ImageSpec("team/app", base=str(base)).with_wheel("dist/*.whl")


def bucket(name: str) -> int:
    """Tell which light layer a project goes to."""
    one = LockedWheel(
        name=name,
        version="1",
        filename="a.whl",
        url="",
        digest=Digest.of(b""),
        size=1,
        step=0,
    )
    lock = Lock(python="3.11", platform=AMD64, wheels=(one,), text="")
    return int(plan_layers(lock, base_layers=1)[0].name.removeprefix("light-"))


def unpack(yard: Yard, layer: Descriptor) -> dict[str, tarfile.TarInfo]:
    """List a pushed layer."""
    return {entry.name: entry for entry in opened(yard, layer)}


def opened(yard: Yard, layer: Descriptor) -> tarfile.TarFile:
    """Open a pushed layer."""
    content = yard.fake.blob("team/app", str(layer.digest))
    assert content is not None
    if layer.media_type == OCI_LAYER_ZSTD:
        plain = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
        content = plain.decompress(content)
    return tarfile.open(fileobj=io.BytesIO(content))


def read(yard: Yard, layer: Descriptor, path: str) -> str:
    """Read a file of a pushed layer."""
    file = opened(yard, layer).extractfile(path)
    assert file is not None
    return file.read().decode()


def config_of(yard: Yard, manifest: Manifest) -> dict[str, dict[str, object]]:
    """Read a pushed config."""
    content = yard.fake.blob("team/app", str(manifest.config.digest))
    assert content is not None
    document: dict[str, dict[str, object]] = json.loads(content)
    return document


def named(manifest: Manifest) -> dict[str, Descriptor]:
    """Return our layers by name."""
    return {
        layer.annotations["aweigh.layer"]: layer
        for layer in manifest.layers
        if "aweigh.layer" in layer.annotations
    }


async def test_a_wheel_becomes_an_environment_on_the_base(
    yard: Yard, tmp_path: Path
) -> None:
    """Modules, scripts, data, metadata and bytecode are where a venv has them."""
    base = SmallBase().hold(yard.fake)
    write_wheel(
        tmp_path / "dist",
        "tool",
        {
            "tool/__init__.py": "def main(): print('hi')\n",
            "tool-1.0.data/data/share/tool/x.txt": "data",
            "tool-1.0.data/scripts/run-tool": "#!python\nprint('ran')\n",
        },
        scripts={"tool": "tool:main"},
    )

    manifest = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    layers = named(manifest)
    (wheel_layer,) = (one for name, one in layers.items() if name.startswith("light"))
    found = unpack(yard, wheel_layer)
    assert {
        "opt/venv/bin/tool",
        "opt/venv/bin/run-tool",
        "opt/venv/share/tool/x.txt",
        f"{SITE}/tool/__init__.py",
        f"{SITE}/tool/__pycache__/__init__.cpython-311.pyc",
    } <= set(found)
    assert not [
        name for name in found if name.endswith(("REQUESTED", ".lock", "url.json"))
    ]
    assert {entry.mtime for entry in found.values()} == {946_684_800}
    assert {entry.mode for entry in found.values()} <= {0o755, 0o644}
    for script in ("tool", "run-tool"):
        text = read(yard, wheel_layer, f"opt/venv/bin/{script}")
        assert text.startswith("#!/opt/venv/bin/python\n")
    record = read(yard, wheel_layer, f"{SITE}/tool-1.0.dist-info/RECORD")
    assert "../../../bin/tool,sha256=" in record
    assert "../../../share/tool/x.txt,sha256=" in record
    assert read(yard, layers["environment"], "opt/venv/pyvenv.cfg") == (
        "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11\n"
    )
    program = unpack(yard, layers["environment"])["opt/venv/bin/python"]
    assert program.linkname == "/usr/bin/python3.11"


async def test_the_config_says_what_the_spec_says(yard: Yard, tmp_path: Path) -> None:
    """Environment, user, directory, entrypoint, labels, history and diff_ids fit."""
    base = SmallBase(environment=("PATH=/usr/bin", "KEPT=1")).hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    spec = (
        spec_on(base)
        .with_env(MODE="x")
        .with_workdir("/app")
        .with_user("1000")
        .with_labels({"team": "a"})
        .with_entrypoint("python", "-m", "tool")
    )

    manifest = await yard.build(
        request_of(spec, tmp_path, yard.reference, labels={"team": "b"})
    )

    config = config_of(yard, manifest)
    assert config["config"]["Env"] == [
        "PATH=/opt/venv/bin:/usr/bin",
        "KEPT=1",
        "VIRTUAL_ENV=/opt/venv",
        "MODE=x",
    ]
    assert config["config"]["WorkingDir"] == "/app"
    assert config["config"]["User"] == "1000"
    assert config["config"]["Entrypoint"] == ["python", "-m", "tool"]
    assert "Cmd" not in config["config"]
    assert config["config"]["Labels"] == {"team": "b"}
    diff_ids = config["rootfs"]["diff_ids"]
    assert isinstance(diff_ids, list)
    assert len(diff_ids) == len(manifest.layers) == len(config["history"])
    assert "app" in unpack(yard, named(manifest)["workdir /app"])


async def test_files_go_where_copy_puts_them(yard: Yard, tmp_path: Path) -> None:
    """A file and a directory arrive; behind a link of the base, not in its place."""
    base = SmallBase().hold(yard.fake)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a.ini").write_text("a")
    (tmp_path / "go.sh").write_text("#!/bin/sh\n")
    (tmp_path / "go.sh").chmod(0o755)
    spec = (
        ImageSpec("team/app", base=str(base))
        .with_files("conf", "/etc/conf")
        .with_files("go.sh", "/bin/go")
        .with_files("go.sh", "/var/run/go/")
    )

    manifest = await yard.build(request_of(spec, tmp_path, yard.reference))

    layers = named(manifest)
    assert "etc/conf/a.ini" in unpack(yard, layers["files /etc/conf"])
    assert unpack(yard, layers["files /bin/go"])["usr/bin/go"].mode == 0o755
    assert "run/go/go.sh" in unpack(yard, layers["files /var/run/go/"])
    assert not config_of(yard, manifest)["config"]["Env"]
    assert not yard.resolver.requests


async def test_two_machines_make_the_same_image(yard: Yard, tmp_path: Path) -> None:
    """Without any shared cache, the manifests are equal to the byte."""
    base = SmallBase().hold(yard.fake)
    files = {"tool.py": "x = {'a': (1, 'b')}\n", "pkg/__init__.py": "y = 'tool'\n"}
    write_wheel(tmp_path / "dist", "tool", files, scripts={"t": "tool:x"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    elsewhere = Reference.parse(f"{yard.fake.host}/other/app:1")

    first = await yard.machine().build(request)
    second = await yard.machine().build(replace(request, reference=elsewhere))

    assert first == second


async def test_a_new_machine_reuses_what_the_registry_has(
    yard: Yard, tmp_path: Path
) -> None:
    """With empty caches, only what changed is made and sent: no heavy layer moves."""
    base = SmallBase().hold(yard.fake)
    yard.resolver.heavy = frozenset({"huge"})
    write_wheel(tmp_path / "dist", "huge", {"huge.py": "x = 1\n"})
    before = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))
    write_wheel(tmp_path / "dist", "small", {"small.py": "x = 1\n"})
    sent = yard.pushed()

    after = await yard.build(
        request_of(spec_on(base), tmp_path, yard.reference.with_tag("2"))
    )

    assert named(before)["huge"] == named(after)["huge"]
    # The light layer, the environment with its lock, and the config.
    assert yard.pushed() - sent == 3
    assert yard.resolver.requests[1].previous == (
        'lock-version = "1.0"\ncreated-by = "aweigh"\n'
        '\n[[packages]]\nname = "huge"\nversion = "1.0"\n'
    )
    cached = {one.step: one.cached for one in yard.heard.of(BuildStepFinished)[-3:]}
    assert cached["layer huge"]
    assert not cached["layer environment"]


async def test_upgrading_forgets_earlier_versions_and_keeps_layers(
    yard: Yard, tmp_path: Path
) -> None:
    """The resolver starts afresh; a wheel that is still the newest does not move."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    await yard.build(request)
    sent = yard.pushed()

    await yard.build(replace(request, refresh=True))

    assert yard.resolver.requests[1].upgrade
    assert yard.resolver.requests[1].previous is None
    assert yard.pushed() == sent


async def test_memory_alone_knows_layers_too(yard: Yard, tmp_path: Path) -> None:
    """Without a cache tag, what this machine remembers is enough, after a HEAD."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    memory = DictMemory()
    await yard.build(request, yard.machine(memory))
    elsewhere = replace(
        request, reference=Reference.parse(f"{yard.fake.host}/other/app:1")
    )

    await yard.machine(memory).build(elsewhere)

    sent = yard.fake.requests("PUT", "/v2/other/app/blobs/uploads/")
    assert len(sent) == 1, "only the config; layers are mounted from the neighbour"


async def test_a_deleted_blob_is_made_again(yard: Yard, tmp_path: Path) -> None:
    """What is remembered counts only while the registry has it."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    manifest = await yard.build(request)
    yard.fake._contents.repository("team/app").blobs.pop(
        str(named(manifest)["environment"].digest)
    )

    again = await yard.build(request)

    assert again == manifest
    assert yard.fake.blob("team/app", str(named(again)["environment"].digest))


async def test_base_layers_come_from_another_registry(
    yard: Yard, tmp_path: Path
) -> None:
    """They are copied there; a Docker base makes gzip layers in an OCI manifest."""
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    async with FakeRegistry() as theirs:
        base = SmallBase(media_type=DOCKER_MANIFEST).hold(theirs)
        manifest = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    assert yard.fake.blob("team/app", str(manifest.layers[0].digest))
    assert {layer.media_type for layer in manifest.layers} == {OCI_LAYER_GZIP}
    assert f"{SITE}/tool.py" in {
        name for layer in named(manifest).values() for name in unpack(yard, layer)
    }


async def test_base_layers_are_mounted_in_their_own_registry(
    yard: Yard, tmp_path: Path
) -> None:
    """No byte of the base moves."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})

    manifest = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    bottom = manifest.layers[0]
    shown = f"base {bottom.digest.hex[:12]}"
    pushed = BlobPushed(layer=shown, reused=True, size=bottom.size)
    assert pushed in yard.heard.events


async def test_another_platform_needs_no_emulation(yard: Yard, tmp_path: Path) -> None:
    """Wheels for arm64 are chosen and unpacked on whatever this machine is."""
    base = SmallBase(platform=ARM64, layers=[tar(root_files("3.12", "aarch64"))]).hold(
        yard.fake
    )
    tags = "cp312-cp312-manylinux_2_28_aarch64"
    write_wheel(tmp_path / "dist", "native", {"native.py": "x = 1\n"}, tags=tags)

    manifest = await yard.build(
        request_of(spec_on(base), tmp_path, yard.reference, platform=ARM64)
    )

    architecture: object = config_of(yard, manifest)["architecture"]
    assert architecture == "arm64"
    asked = yard.resolver.requests[0]
    assert (asked.python, asked.manylinux) == ("3.12", "manylinux_2_36")


async def test_a_wheel_that_cannot_run_is_refused_before_anything_is_pushed(
    yard: Yard, tmp_path: Path
) -> None:
    """The error names the wheel and the reason."""
    base = SmallBase().hold(yard.fake)
    tags = "cp311-cp311-musllinux_1_2_x86_64"
    write_wheel(tmp_path / "dist", "native", {"native.py": "x = 1\n"}, tags=tags)

    with pytest.raises(SpecError, match=r"native-1\.0-.*musllinux_1_2_x.*_2_36"):
        await yard.machine().build(request_of(spec_on(base), tmp_path, yard.reference))

    assert not yard.fake.requests("POST")
    assert not yard.fake.requests("PUT")


async def test_a_wheel_with_a_wrong_record_is_installed_all_the_same(
    yard: Yard, tmp_path: Path
) -> None:
    """Installers do not check RECORD either."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "odd", {"odd.py": "x = 1\n"}, wrong_record=True)

    manifest = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    assert any(
        f"{SITE}/odd.py" in unpack(yard, one) for one in named(manifest).values()
    )


async def test_the_later_of_two_wheels_wins(yard: Yard, tmp_path: Path) -> None:
    """It is an event when they disagree, whichever the installer took."""
    base = SmallBase().hold(yard.fake)
    # Two names that share a bucket, and so a layer.
    first, second = (
        "bread",
        next(
            name
            for name in map("butter{}".format, range(99))
            if bucket(name) == bucket("bread")
        ),
    )
    for name in (first, second):
        files = {"shared.py": f"by = '{name}'\n", "same.py": "x = 1\n"}
        write_wheel(tmp_path / "dist", name, files)

    manifest = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    (layer,) = (one for name, one in named(manifest).items() if name != "environment")
    assert read(yard, layer, f"{SITE}/shared.py") == f"by = '{second}'\n"
    (warned,) = yard.heard.of(Warned)
    assert f"{first} and {second} write different contents to shared.py" in (
        warned.message
    )


async def test_the_base_may_be_an_index(yard: Yard, tmp_path: Path) -> None:
    """The wanted platform is taken from it; others are told to be missing."""
    single = SmallBase().hold(yard.fake, "bases/several")
    found = await yard.client.head_manifest(single)
    assert found is not None
    index = Index(manifests=(replace(found, platform=AMD64),))
    await yard.client.put_manifest(single, index.to_bytes(), OCI_INDEX)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(single), tmp_path, yard.reference)

    assert named(await yard.build(request))
    with pytest.raises(SpecError, match="not for linux/arm64"):
        await yard.machine().build(replace(request, platform=ARM64))


async def test_official_images_say_their_python(yard: Yard, tmp_path: Path) -> None:
    """Then only the C library is looked for; a spec may ask for what is there."""
    files = root_files()
    del files["usr/bin/python3.11"]
    base = SmallBase(layers=[tar(files)], environment=("PYTHON_VERSION=3.11.9",)).hold(
        yard.fake
    )
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    spec = spec_on(base)

    manifest = await yard.build(request_of(spec, tmp_path, yard.reference))

    program = unpack(yard, named(manifest)["environment"])["opt/venv/bin/python"]
    assert program.linkname == "/usr/local/bin/python3.11"
    other = spec.replace(python="3.13")
    with pytest.raises(SpecError, match=r"has no Python 3\.13"):
        await yard.machine().build(request_of(other, tmp_path, yard.reference))


async def test_a_damaged_wheel_is_an_error_of_the_build(
    yard: Yard, tmp_path: Path
) -> None:
    """What uv says is shown, and the step is named."""
    base = SmallBase().hold(yard.fake)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "bad-1.0-py3-none-any.whl").write_bytes(b"no zip")

    with pytest.raises(BuildError, match=r"could not install bad-1\.0"):
        await yard.machine().build(request_of(spec_on(base), tmp_path, yard.reference))


async def test_a_wheel_that_changed_since_the_snapshot_is_refused(
    yard: Yard, tmp_path: Path
) -> None:
    """The new content never gets the old digest."""
    base = SmallBase().hold(yard.fake)
    wheel = write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    wheel.write_bytes(b"something else")

    with pytest.raises(ChangedError, match=r"tool-1\.0"):
        await yard.machine().build(request)


@pytest.mark.parametrize(
    ("layers", "platform", "message"),
    [
        ([tar({"bin/sh": b"x"})], "linux/amd64", "has no Python"),
        ([tar(NO_LIBC)], "linux/amd64", "no C library"),
        ([tar(root_files())], "linux/arm64", "not for linux/amd64"),
    ],
)  # fmt: skip
async def test_a_base_that_cannot_carry_python_is_refused(
    yard: Yard, tmp_path: Path, layers: list[bytes], platform: str, message: str
) -> None:
    """The error says what is missing, and the hint what to do."""
    kind = ARM64 if platform == "linux/arm64" else SmallBase().platform
    base = SmallBase(layers=layers, platform=kind).hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})

    with pytest.raises(SpecError, match=message):
        await yard.machine().build(request_of(spec_on(base), tmp_path, yard.reference))


async def test_a_missing_or_broken_base_is_told(yard: Yard, tmp_path: Path) -> None:
    """Each for what it is."""
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    nowhere = Reference.parse(f"{yard.fake.host}/bases/none:1")
    broken = SmallBase(broken=True).hold(yard.fake, "bases/broken")

    with pytest.raises(SpecError, match="is not there"):
        await yard.machine().build(
            request_of(spec_on(nowhere), tmp_path, yard.reference)
        )
    with pytest.raises(RegistryError, match="other layers than its manifest"):
        await yard.machine().build(
            request_of(spec_on(broken), tmp_path, yard.reference)
        )


async def test_an_unusable_cache_tag_costs_only_time(
    yard: Yard, tmp_path: Path
) -> None:
    """A stranger's image under the tag is a warning."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    SmallBase(broken=True).hold(yard.fake, "team/app")
    held = yard.fake._contents.repository("team/app").manifests
    held["aw-cache-3.11-linux-amd64"] = held["1"]

    manifest = await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    assert named(manifest)
    assert any("earlier layers" in one.message for one in yard.heard.of(Warned))


async def test_cancelling_leaves_nothing(yard: Yard, tmp_path: Path) -> None:
    """Neither a tag nor a file, wherever the build was."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    for moment in (0.02, 0.05, 0.1, 0.15, 0.2):
        building = asyncio.ensure_future(yard.machine().build(request))
        await asyncio.sleep(moment)
        building.cancel()
        await asyncio.wait([building])
        # The last one may have been done by then.
        assert building.cancelled() or not building.exception()
        if not yard.fake.requests("PUT", "/v2/team/app/manifests/"):
            assert await yard.client.head_manifest(yard.reference) is None


@pytest.mark.parametrize(
    ("spec", "step"),
    [
        (ImageSpec("x").with_packages("a").with_apt("git"), "step 1, with_apt('git')"),
        (ImageSpec("x").with_run("make"), "step 0, with_run('make')"),
        (ImageSpec.from_dockerfile("D", name="x"), "step 0, the Dockerfile D"),
        (ImageSpec("x").with_files("a", "/tmp/a"), "step 0, with_files to /tmp/a"),
        (ImageSpec("x").with_project(".", install_project=True), None),
        (ImageSpec("x").with_packages("a").with_env(A="b"), None),
    ],
)
def test_the_first_step_that_needs_an_engine_is_named(
    spec: ImageSpec, step: str | None
) -> None:
    """Only steps that execute something, or write where everybody may, need one."""
    assert needs_engine(spec) == step


async def test_what_needs_an_engine_or_a_registry_is_refused(
    yard: Yard, tmp_path: Path
) -> None:
    """The error names the step."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    apt = spec_on(base).with_apt("git")
    request = request_of(spec_on(base), tmp_path, yard.reference)

    with pytest.raises(SpecError, match=r"step 1, with_apt\('git'\) needs an engine"):
        await yard.machine().build(request_of(apt, tmp_path, yard.reference))
    with pytest.raises(SpecError, match="no registry"):
        await yard.machine().build(replace(request, push=False))


@pytest.mark.parametrize("hides", [401, 403])
async def test_a_registry_may_hide_what_does_not_exist_yet(
    tmp_path: Path, hides: Literal[401, 403]
) -> None:
    """The first push to a new repository goes through."""
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    async with (
        FakeRegistry(hides=hides) as fake,
        open_registry(Nobody(), listener=silent) as client,
    ):
        base = SmallBase().hold(fake)
        builder = AssembleBuilder(
            registry=client,
            resolver=WheelResolver(),
            memory=DictMemory(),
            cache_dir=tmp_path / "cache",
            environ=environment(),
        )
        reference = Reference.parse(f"{fake.host}/team/new:1")
        built = await builder.build(request_of(spec_on(base), tmp_path, reference))

        found = await client.head_manifest(reference)
    assert found is not None
    assert found.digest == built.digest


async def test_what_a_killed_process_left_is_removed(
    yard: Yard, tmp_path: Path
) -> None:
    """After a day nobody works on it."""
    left = yard.directory / "machine-1" / "assemble" / "assemble-old"
    left.mkdir(parents=True)
    os.utime(left, (1, 1))
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    base = SmallBase().hold(yard.fake)

    await yard.build(request_of(spec_on(base), tmp_path, yard.reference))

    assert not left.exists()


async def test_bytecode_of_another_release_or_none_is_reused(
    yard: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heavy layer does not move because another interpreter would compile it."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)

    async def compiled_by(compiler: Compiler | None) -> Manifest:
        async def find(_self: Compilers, _python: str) -> Compiler | None:
            return compiler

        monkeypatch.setattr(Compilers, "find", find)
        return await yard.build(request)

    without = await compiled_by(None)
    other = await compiled_by(Compiler(sys.executable, "cpython-311-3.11.99"))
    assert other == without
    assert any("without bytecode" in one.line for one in yard.heard.of(BuildLogged))

    fresh = replace(request, reference=Reference.parse(f"{yard.fake.host}/b/c:1"))
    request = fresh
    ours = await compiled_by(Compiler(sys.executable, "cpython-311-3.11.1"))
    theirs = await compiled_by(Compiler(sys.executable, "cpython-311-3.11.2"))
    assert ours == theirs
    tags = {one.annotations.get("aweigh.bytecode") for one in theirs.layers}
    assert tags == {None, "cpython-311-3.11.1"}
