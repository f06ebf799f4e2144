"""What the fault tests share: a session whose registry or engine is behind a proxy."""

import base64
import dataclasses
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aweigh import Image, ImageSpec, Settings, open_session
from aweigh.backends.registry import open_registry
from aweigh.errors import UndecidedError
from aweigh.events import BuildStarted, Warned, silent
from aweigh.image.credential import Credential
from aweigh.oci import Descriptor, Digest, Index, Manifest, Platform, Reference
from aweigh.oci.manifest import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from aweigh.testing.doubles import FakeClock, RecordingListener

HOUR = 3600.0


class Nobody:
    """Knows no credential."""

    async def credential(self, _registry: str, /) -> Credential | None:
        """Return None."""
        return None


@dataclass(slots=True, kw_only=True)
class Scene:
    """One spec, wanted at one place, through sessions that share a cache and a clock.

    Attributes:
        settings: Of every session.
        spec: What is wanted.
        host: The registry itself, where no proxy is in between.
        heard: Hears every session.
        clock: Their clock.
    """

    settings: Settings
    spec: ImageSpec
    host: str
    heard: RecordingListener = field(default_factory=RecordingListener)
    clock: FakeClock = field(default_factory=FakeClock)

    async def ensure(self, *, rebuild: bool = False) -> Image:
        """Ensure the image in a new session."""
        async with open_session(
            self.settings, listener=self.heard, clock=self.clock
        ) as session:
            return await session.ensure_image(self.spec, rebuild=rebuild)

    async def undecided(self) -> UndecidedError:
        """Ensure the image and get the error that says that nobody knows."""
        with pytest.raises(UndecidedError) as caught:
            await self.ensure()
        assert caught.value.hint
        assert self.heard.of(BuildStarted) == []
        return caught.value

    async def stale(self) -> Warned:
        """Let the remembered image become stale, ensure it, return the warning."""
        self.clock.advance(2 * HOUR)
        image = await self.ensure()
        assert image.origin == "recalled"
        # Only who was really asked renews a row.
        assert image.verified_at <= self.clock.now - 2 * HOUR
        assert self.heard.of(BuildStarted) == []
        return self.heard.of(Warned)[-1]

    async def repository(self) -> Reference:
        """Name the image at the registry itself."""
        async with open_session(self.settings) as session:
            tag = f"aw-{(await session.digest(self.spec)).hex[:20]}"
        _, _, path = str(self.settings.registry).partition("/")
        return Reference.parse(f"{self.host}/{path}/{self.spec.name}:{tag}")

    async def plant(self) -> Image:
        """Push an image behind everybody's back and have it found and remembered."""
        await push_image(await self.repository())
        image = await self.ensure()
        assert image.origin == "found"
        return image

    async def delete(self, image: Image) -> None:
        """Delete the image's index at the registry itself."""
        reference = (await self.repository()).with_digest(image.digest)
        async with open_registry(Nobody(), listener=silent) as client:
            await client.delete_manifest(reference)

    def with_settings(self, **changes: object) -> "Scene":
        """Return the same scene with other settings."""
        changed = dataclasses.replace(self.settings, **changes)  # type: ignore[arg-type]
        return dataclasses.replace(self, settings=changed)


async def push_image(reference: Reference) -> Digest:
    """Put a small image under a tag; return the digest of its index."""
    platform = Platform.host()
    config = json.dumps(
        {"os": platform.os, "architecture": platform.architecture}
    ).encode()
    layer = uuid.uuid4().bytes
    manifest = Manifest(
        config=_blob(config, OCI_CONFIG), layers=(_blob(layer, OCI_LAYER_GZIP),)
    ).to_bytes()
    entry = _blob(manifest, OCI_MANIFEST)
    index = Index(manifests=(dataclasses.replace(entry, platform=platform),)).to_bytes()
    async with open_registry(Nobody(), listener=silent) as client:
        for content, kind in ((config, OCI_CONFIG), (layer, OCI_LAYER_GZIP)):
            await client.push_blob(reference, _blob(content, kind), content)
        pinned = reference.with_digest(entry.digest)
        await client.put_manifest(pinned, manifest, OCI_MANIFEST)
        return (await client.put_manifest(reference, index, OCI_INDEX)).digest


def scratch_spec(directory: Path) -> ImageSpec:
    """Return a spec that builds at once and equals no other test's."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "Dockerfile").write_text(
        f"FROM scratch\nCOPY Dockerfile /\n# {uuid.uuid4().hex}\n"
    )
    return ImageSpec.from_dockerfile(
        directory / "Dockerfile", name="app", context=directory
    )


def log_in(monkeypatch: pytest.MonkeyPatch, directory: Path, **logins: str) -> Path:
    """Leave `user:password` for registries behind, as ``docker login`` does."""
    directory.mkdir(parents=True, exist_ok=True)
    auths = {
        registry: {"auth": base64.b64encode(pair.encode()).decode()}
        for registry, pair in logins.items()
    }
    config = directory / "config.json"
    config.write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return config


def _blob(content: bytes, media_type: str) -> Descriptor:
    return Descriptor(
        media_type=media_type, digest=Digest.of(content), size=len(content)
    )
