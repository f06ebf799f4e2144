"""What registry and machine remember of layers, and what of it is believed."""

import asyncio
import dataclasses
import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from aweigh.backends.assembler.layers.memo import CachedImage, cache_tag, read_cached
from aweigh.backends.assembler.layers.previous import preferred
from aweigh.errors import InvalidManifestError, RegistryUnavailableError
from aweigh.events import BuildStepFinished, Warned
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Digest, Manifest, Platform, Reference, describe
from aweigh.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from aweigh.testing import DictMemory, answers
from tests.backends.assembler.conftest import Yard
from tests.backends.assembler.support import (
    SmallBase,
    request_of,
    tar,
    write_wheel,
)

CACHE = "aw-cache-3.11-linux-amd64"
LOCK = "opt/venv/pylock.toml"
ENVIRONMENT = {"aweigh.layer": "environment"}


def spec_on(base: Reference, pattern: str = "dist/*.whl") -> ImageSpec:
    """Describe an image with wheels."""
    return ImageSpec("team/app", base=str(base)).with_wheel(pattern)


def named(manifest: Manifest) -> dict[str, Descriptor]:
    """Return our layers by name."""
    return {
        layer.annotations["aweigh.layer"]: layer
        for layer in manifest.layers
        if "aweigh.layer" in layer.annotations
    }


def sent(yard: Yard, descriptor: Descriptor) -> int:
    """Count how often the bytes of a blob were sent to the destination."""
    puts = yard.fake.requests("PUT", "/v2/team/app/blobs/uploads/")
    return sum(descriptor.digest.hex in request.query for request in puts)


def cached(yard: Yard) -> dict[str, bool]:
    """Return which layers were there, of the last build."""
    return {one.step: one.cached for one in yard.heard.of(BuildStepFinished)}


async def test_an_empty_machine_moves_no_byte_of_a_heavy_layer(
    yard: Yard, tmp_path: Path
) -> None:
    """Its blob was sent once, by the machine that made it; others ask and name it."""
    base = SmallBase().hold(yard.fake)
    yard.resolver.heavy = frozenset({"huge"})
    write_wheel(tmp_path / "dist", "huge", {"huge.py": "x = 1\n"})
    for number in range(3):
        write_wheel(tmp_path / "dist", f"small{number}", {f"s{number}.py": "x = 1\n"})
        reference = yard.reference.with_tag(str(number))
        request = request_of(spec_on(base), tmp_path, reference)
        manifest = await yard.build(request)
    heavy = named(manifest)["huge"]
    assert sent(yard, heavy) == 1
    path = f"/v2/team/app/blobs/{heavy.digest}"
    assert yard.fake.requests("GET", path) == []
    assert len(yard.fake.requests("HEAD", path)) >= 2


async def test_the_last_writer_of_the_tag_wins(yard: Yard, tmp_path: Path) -> None:
    """What the tag forgot is made again, and is the same: no byte of it moves."""
    base = SmallBase().hold(yard.fake)
    for name in ("one", "two"):
        write_wheel(tmp_path / name, name, {f"{name}.py": "x = 1\n"})
    requests = {
        name: request_of(
            spec_on(base, f"{name}/*.whl"), tmp_path, yard.reference.with_tag(name)
        )
        for name in ("one", "two")
    }
    # Both have read the tag before either writes it.
    first, second = await asyncio.gather(*map(yard.build, requests.values()))
    found = await yard.client.get_manifest(yard.reference.with_tag(CACHE))
    assert found is not None
    assert found[0] in (first, second)
    yard.heard.events.clear()
    before = yard.pushed()

    again = [await yard.build(request) for request in requests.values()]

    assert again == [first, second]
    assert yard.pushed() == before
    assert False in cached(yard).values()


@pytest.mark.parametrize("knows", ["registry", "machine"])
async def test_a_blob_that_is_gone_is_made_again(
    yard: Yard, tmp_path: Path, knows: str
) -> None:
    """What is remembered counts after a HEAD, whoever remembers it."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    memory = DictMemory()
    manifest = await yard.build(request, yard.machine(memory))
    (wheels,) = (one for name, one in named(manifest).items() if name != "environment")
    held = yard.fake._contents.repository("team/app")
    del held.blobs[str(wheels.digest)]
    if knows == "machine":
        del held.manifests[CACHE]
    builder = yard.machine(memory if knows == "machine" else None)

    again = await yard.build(request, builder)

    assert again == manifest
    assert sent(yard, wheels) == 2
    assert yard.fake.blob("team/app", str(wheels.digest)) is not None


async def test_a_deleted_image_is_made_again(yard: Yard, tmp_path: Path) -> None:
    """Its manifests are gone, and so is the tag; nothing is an error."""
    base = SmallBase().hold(yard.fake)
    write_wheel(tmp_path / "dist", "tool", {"tool.py": "x = 1\n"})
    request = request_of(spec_on(base), tmp_path, yard.reference)
    memory = DictMemory()
    manifest = await yard.build(request, yard.machine(memory))
    held = yard.fake._contents.repository("team/app")
    held.manifests.clear()
    held.blobs.clear()
    yard.fake._contents._repositories.pop("team/app")

    assert await yard.build(request, yard.machine(memory)) == manifest
    assert yard.heard.of(Warned) == []


def hold(
    yard: Yard,
    layers: Sequence[tuple[bytes, Mapping[str, str]]],
    *,
    config: bytes | None = None,
    media_type: str = OCI_LAYER_GZIP,
) -> None:
    """Let somebody push an image under the cache tag."""
    if config is None:
        config = config_of([Digest.of(_plain(content)) for content, _ in layers])
    for content in (config, *(content for content, _ in layers)):
        yard.fake.add_blob("team/app", content)
    manifest = Manifest(
        config=describe(config, OCI_CONFIG),
        layers=tuple(
            dataclasses.replace(describe(content, media_type), annotations=annotations)
            for content, annotations in layers
        ),
    )
    yard.fake.add_manifest("team/app", CACHE, manifest.to_bytes(), OCI_MANIFEST)


def _plain(content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError):
        return content


def config_of(diff_ids: list[Digest], **more: Any) -> bytes:
    """Write a config."""
    document = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": list(map(str, diff_ids))},
    }
    return json.dumps(document | more).encode()


async def look(yard: Yard) -> CachedImage:
    """Read what the cache tag says."""
    tag = yard.reference.with_tag(CACHE)
    return await read_cached(yard.client, tag, yard.heard)


async def build_tool(yard: Yard, root: Path) -> dict[str, Descriptor]:
    """Build an image with one small wheel; return its layers."""
    base = SmallBase().hold(yard.fake)
    write_wheel(root / "dist", "tool", {"tool.py": "x = 1\n"})
    found = named(await yard.build(request_of(spec_on(base), root, yard.reference)))
    assert len(found) == 2
    assert not any(cached(yard).values())
    return found


@pytest.mark.parametrize(
    "annotations",
    [
        {},
        {"aweigh.layer-key": "garbage"},
        {"aweigh.layer-key": f"sha256:{'0' * 64}"},
        {"aweigh.layer-key": "x" * 10_000, "aweigh.bytecode": "\x00"},
    ],
)
async def test_strange_annotations_are_ignored(
    yard: Yard, tmp_path: Path, annotations: dict[str, str]
) -> None:
    """Layers of others, under keys that nobody asks for, are not taken for ours."""
    hold(yard, [(tar({"x": b"theirs"}), annotations)])
    found = await build_tool(yard, tmp_path)
    assert Digest.of(tar({"x": b"theirs"})) not in {
        one.digest for one in found.values()
    }
    assert yard.heard.of(Warned) == []


async def test_a_layer_of_another_compression_is_not_taken(
    yard: Yard, tmp_path: Path
) -> None:
    """Even under the right key: some runtimes could not read it."""
    layers = await build_tool(yard, tmp_path)
    keys = {one.annotations["aweigh.layer-key"] for one in layers.values()}
    kind = next(iter(layers.values())).media_type
    other = OCI_LAYER_GZIP if kind != OCI_LAYER_GZIP else f"{OCI_LAYER_GZIP[:-4]}zstd"
    yard.fake._contents._repositories.pop("team/app")
    theirs = [
        (tar({f"{at}": b"theirs"}), {"aweigh.layer-key": key})
        for at, key in enumerate(sorted(keys))
    ]
    hold(yard, theirs, media_type=other)
    yard.heard.events.clear()

    again = await build_tool(yard, tmp_path)

    assert again == layers


@pytest.mark.parametrize(
    "config",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b"[" * 100_000,
        config_of([]),
        config_of([], config=[1]),
        config_of([], config={"Env": [1]}),
        config_of([], config={"Labels": {"a": 1}}),
        config_of([], variant=7),
        config_of([], history=["x"]),
        config_of([], rootfs={"type": "layers", "diff_ids": [1]}),
        config_of([], rootfs={"type": "layers", "diff_ids": ["x"]}),
    ],
)
async def test_a_strange_config_costs_a_warning(yard: Yard, config: bytes) -> None:
    """Then no layer of that image is known, and all are made."""
    hold(yard, [(tar({"x": b""}), {})], config=config)
    assert (await look(yard)).layers == {}
    (warned,) = yard.heard.of(Warned)
    assert "says nothing about earlier layers" in warned.message


@pytest.mark.parametrize(
    "layer",
    [
        b"",
        b"no archive",
        b"\x1f\x8b" + b"cut",
        b"\x28\xb5\x2f\xfd" + b"cut",
        gzip.compress(b"no archive" * 100),
        tar({LOCK: b"\xff\xfe"}),
        tar({LOCK: b"no toml ["}),
        tar({LOCK: b"packages = 1\n"}),
        tar({LOCK: b"a = " + b"[" * 20_000}),
        gzip.compress(bytes(16 << 20)),
    ],
    ids=[
        "empty",
        "text",
        "cut gzip",
        "cut zstd",
        "no tar",
        "no UTF-8",
        "no TOML",
        "no list",
        "deep",
        "long",
    ],
)
async def test_a_strange_lock_costs_a_warning_at_most(yard: Yard, layer: bytes) -> None:
    """Versions are then chosen anew; a bomb is not unpacked."""
    hold(yard, [(layer, ENVIRONMENT)], config=config_of([Digest.of(b"")]))
    assert (await look(yard)).lock is None
    warned = [one.message for one in yard.heard.of(Warned)]
    assert all("says nothing about earlier versions" in one for one in warned)


@pytest.mark.parametrize("layer", [tar({"x": b""}), tar({LOCK: "/etc/passwd"})])
async def test_a_layer_without_a_lock_says_nothing(yard: Yard, layer: bytes) -> None:
    """A link in its place is not followed."""
    hold(yard, [(layer, ENVIRONMENT)])
    assert (await look(yard)).lock is None
    assert yard.heard.of(Warned) == []


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"no json", OCI_MANIFEST),
        (b'{"schemaVersion": 2, "schemaVersion": 2}', OCI_MANIFEST),
        (b'{"schemaVersion": 2, "layers": 7}', OCI_MANIFEST),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
async def test_a_strange_manifest_costs_a_warning(
    yard: Yard, content: bytes, media_type: str
) -> None:
    """Whatever a registry lets somebody push there."""
    headers = {"Content-Type": media_type}
    yard.fake.fail(answers(200, content, headers), method="GET", path=CACHE, times=9)
    assert await look(yard) == CachedImage()
    (warned,) = yard.heard.of(Warned)
    assert "says nothing about earlier layers" in warned.message


async def test_a_registry_that_fails_is_an_error(yard: Yard) -> None:
    """Without it nothing can be pushed either."""
    yard.fake.fail(answers(503), method="GET", path=CACHE, times=9)
    with pytest.raises(RegistryUnavailableError):
        await look(yard)


async def test_garbage_under_the_tag_is_replaced(yard: Yard, tmp_path: Path) -> None:
    """The image is built, and is what the tag says afterwards."""
    hold(yard, [(b"no archive", ENVIRONMENT)], config=b"no json")
    layers = await build_tool(yard, tmp_path)
    assert len(yard.heard.of(Warned)) == 2
    found = await look(yard)
    assert {one.descriptor for one in found.layers.values()} == set(layers.values())
    assert found.lock is not None


def test_versions_and_commits_are_preferred() -> None:
    """No file, no place, nothing else of the earlier lock."""
    commit = "a" * 40
    text = (
        'lock-version = "1.0"\ncreated-by = "x"\nrequires-python = "==3.1.*"\n'
        '[[packages]]\nname = "torch"\nversion = "2.6.0+cpu"\n'
        'wheels = [{ url = "https://evil.example/x.whl" }]\n'
        '[[packages]]\nname = "tool"\n'
        'vcs = { type = "git", url = "https://h.example/t.git", '
        f'commit-id = "{commit}", subdirectory = "a/b" }}\n'
    )
    assert preferred(text) == (
        'lock-version = "1.0"\ncreated-by = "aweigh"\n'
        '\n[[packages]]\nname = "torch"\nversion = "2.6.0+cpu"\n'
        '\n[[packages]]\nname = "tool"\n'
        'vcs = { type = "git", url = "https://h.example/t.git", '
        f'commit-id = "{commit}", subdirectory = "a/b" }}\n'
    )


@pytest.mark.parametrize(
    "package",
    [
        'name = "a"',
        'name = 1\nversion = "1.0"',
        'name = "../x"\nversion = "1.0"',
        'name = "a"\nversion = "one"',
        'name = "a"\nversion = 1',
        'version = "1.0"',
        f'name = "{"a" * 300}"\nversion = "1.0"',
        'name = "a"\nvcs = 1',
        'name = "a"\nvcs = { type = "git" }',
        'name = "a"\nvcs = { type = "svn", url = "https://h/x", commit-id = "1" }',
        f'vcs = {{ type = "git", url = "https://h/x", commit-id = "{"a" * 40}" }}',
        f'name = "a"\nvcs = {{type="git", url="file:///x", commit-id="{"a" * 40}"}}',
    ],
)
def test_what_no_lock_says_is_left_out(package: str) -> None:
    """One odd entry costs no other."""
    text = f'[[packages]]\n{package}\n[[packages]]\nname = "b"\nversion = "1.0"\n'
    kept = '\n[[packages]]\nname = "b"\nversion = "1.0"\n'
    assert preferred(text) == f'lock-version = "1.0"\ncreated-by = "aweigh"\n{kept}'


@pytest.mark.parametrize("text", ["garbage {", "\x00", "packages = 7", "x = 1", ""])
def test_what_is_no_lock_is_refused(text: str) -> None:
    """Whoever asks decides what that means."""
    with pytest.raises(InvalidManifestError, match="its lock"):
        preferred(text)


def test_cache_tags_are_tags() -> None:
    """One per Python and platform."""
    assert cache_tag("3.11", Platform.parse("linux/arm/v7")) == (
        "aw-cache-3.11-linux-arm-v7"
    )
