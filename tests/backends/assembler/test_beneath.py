"""What an image below has installed is found in it, and not installed again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.backends.assembler.bases.base import Base
from aweigh.backends.assembler.beneath import read_lock, what_is_left
from aweigh.backends.registry import open_registry
from aweigh.errors import NeedsEngineError
from aweigh.events import silent
from aweigh.image.build import BuildRequest
from aweigh.image.lock import LockedWheel
from aweigh.image.segments import Prefix
from aweigh.image.spec import ImageSpec
from aweigh.oci import Descriptor, Digest, Manifest, Reference
from aweigh.oci.config import ImageConfig
from aweigh.oci.manifest import OCI_CONFIG, OCI_LAYER_GZIP
from aweigh.testing import FakeRegistry
from tests.backends.assembler.conftest import Yard
from tests.backends.assembler.support import (
    SmallBase,
    request_of,
    root_files,
    tar,
    write_wheel,
)
from tests.backends.registry_support import Nobody
from tests.image.locks import make_lock, make_locked

PREFIX = Prefix(steps=frozenset({0}), environments=1)
PLACE = "opt/venv/pylock.toml"
HUGE = tar({"zeros": bytes(40 << 20), PLACE: b"of a giant"})


def lock_of(*wheels: LockedWheel, kind: str = "wheels") -> str:
    """Write a lock of some files."""
    lines = []
    for wheel in wheels:
        file = f'{{ name = "f", hashes = {{ sha256 = "{wheel.digest.hex}" }} }}'
        value = f"[{file}]" if kind == "wheels" else file
        lines.append(
            f'[[packages]]\nname = "{wheel.name}"\nversion = "{wheel.version}"\n'
            f"{kind} = {value}\n"
        )
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([], None),
        ([tar({PLACE: b"old"}), tar({"etc/x": b""}), tar({PLACE: b"new"})], "new"),
        ([tar({PLACE: b"old"}), HUGE, b"no layer"], "old"),
        ([tar({"opt/venv/other": b""})], None),
        ([tar({PLACE: "a link"})], None),
    ],
)
async def test_the_uppermost_lock_counts(
    layers: list[bytes], expected: str | None
) -> None:
    """It is found in whichever layer has it; what is no lock's layer is passed over."""
    async with (
        FakeRegistry() as fake,
        open_registry(Nobody(), listener=silent) as client,
    ):
        described = []
        for content in layers:
            fake.add_blob("team/app", content)
            described.append(
                Descriptor(
                    media_type=OCI_LAYER_GZIP,
                    digest=Digest.of(content),
                    size=len(content),
                )
            )
        described.insert(
            len(described) // 2,
            Descriptor(
                media_type=OCI_LAYER_GZIP, digest=Digest.of(b"large"), size=1 << 30
            ),
        )
        base = Base(
            reference=Reference.parse(f"{fake.host}/team/app:1"),
            manifest=Manifest(
                config=Descriptor(
                    media_type=OCI_CONFIG, digest=Digest.of(b"c"), size=1
                ),
                layers=tuple(described),
            ),
            config=ImageConfig({}),
        )
        assert await read_lock(client, base) == expected


def test_what_is_there_is_left_out() -> None:
    """Equal files are done; new ones are left; others have to be replaced."""
    same, other, new = make_locked("same"), make_locked("other"), make_locked("new")
    older = make_locked("other", version="0.9")
    above = what_is_left(make_lock([same, other, new]), PREFIX, lock_of(same, older))
    assert above.wheels == (other, new)
    assert above.replaced == (other,)


def test_a_source_distribution_is_known_by_its_digest() -> None:
    """What was built from it below is not built again."""
    source = make_locked("old", suffix=".tar.gz")
    lock = make_lock([source])
    assert what_is_left(lock, PREFIX, lock_of(source, kind="sdist")).wheels == ()
    other = replace(source, digest=Digest.of(b"another build"))
    assert what_is_left(lock, PREFIX, lock_of(other, kind="sdist")).replaced == (
        source,
    )


def test_a_commit_is_known_by_its_name() -> None:
    """A lock has no hash for it."""
    commit = replace(make_locked("lib"), url="git+https://h.example/lib@abc123")
    text = (
        '[[packages]]\nname = "Lib"\nversion = "1.0"\n'
        'vcs = { type = "git", url = "https://h.example/lib", commit-id = "abc123" }\n'
    )
    assert what_is_left(make_lock([commit]), PREFIX, text).wheels == ()
    moved = text.replace("abc123", "def456")
    assert what_is_left(make_lock([commit]), PREFIX, moved).replaced == (commit,)


def test_the_users_own_are_known_by_their_step() -> None:
    """Two builds of one project differ in bytes; that of a later step is another."""
    own = make_locked("acme", first_party=True)
    text = lock_of(replace(own, digest=Digest.of(b"built before")))
    assert what_is_left(make_lock([own]), PREFIX, text).wheels == ()
    later = replace(own, step=2)
    assert what_is_left(make_lock([later]), PREFIX, text).replaced == (later,)


def request_on(
    yard: Yard, directory: Path, lock: str | None, **versions: str
) -> BuildRequest:
    """Ask for two packages on an image that has the first, as a lock says."""
    layers = [tar(root_files())]
    if lock is not None:
        layers.append(tar({PLACE: lock.encode()}))
    environment = ("VIRTUAL_ENV=/opt/venv", "PATH=/opt/venv/bin:/usr/bin")
    base = SmallBase(layers=layers, environment=environment).hold(yard.fake)
    for name, version in versions.items():
        write_wheel(
            directory / name, name, {f"{name}/__init__.py": ""}, version=version
        )
    spec = ImageSpec("team/app", base=str(base))
    for name in versions:
        spec = spec.with_wheel(f"{name}/*.whl")
    request = request_of(spec.with_workdir("/work"), directory, yard.reference)
    return replace(request, prefix=PREFIX)


async def test_only_what_is_left_is_assembled(yard: Yard, tmp_path: Path) -> None:
    """The layers below stay as they are; the cache tag is not that of other images."""
    plain = request_on(yard, tmp_path, None, below="1.0", above="1.0")
    digest = next(
        member.digest
        for member in plain.snapshot.members
        if member.path.startswith("steps/0/") and member.digest is not None
    )
    lock = lock_of(replace(make_locked("below"), digest=digest))
    request = request_on(yard, tmp_path, lock, below="1.0", above="1.0")
    manifest = await yard.build(request)
    names = [one.annotations.get("aweigh.layer", "") for one in manifest.layers]
    assert [name.rpartition("-")[0] for name in names if "light" in name] == ["light"]
    assert "environment" in names
    assert yard.resolver.requests[-1].beneath == lock
    content = yard.fake.blob("team/app", str(manifest.config.digest))
    assert content is not None
    assert json.loads(content)["config"]["Env"] == [
        "VIRTUAL_ENV=/opt/venv",
        "PATH=/opt/venv/bin:/usr/bin",
    ]
    tag = yard.reference.with_tag("aw-cache-3.11-linux-amd64")
    assert await yard.client.head_manifest(tag) is None
    own = yard.reference.with_tag("aw-cache-3.11-linux-amd64-on1")
    assert await yard.client.head_manifest(own) is not None


@pytest.mark.parametrize(
    ("lock", "reason"),
    [
        (None, "no lock"),
        (lock_of(make_locked("below", version="0.9")), "below 1.0"),
    ],
)
async def test_what_cannot_be_put_on_top(
    yard: Yard, tmp_path: Path, lock: str | None, reason: str
) -> None:
    """Nothing is pushed: an engine is to do it."""
    request = request_on(yard, tmp_path, lock, below="1.0", above="1.0")
    with pytest.raises(NeedsEngineError, match=reason):
        await yard.build(request)
    assert yard.pushed() == 0
