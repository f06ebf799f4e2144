"""Puts code on images of an engine's own store: one layer more, and nothing else moves.

The classic (graph driver) store is given an archive with the one layer that it lacks:
``docker load`` looks for the layers below by their digests and never opens their files.
The containerd store wants all of them in the archive: there BuildKit copies the code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from aweigh.archive.member import Member
from aweigh.archive.stream import in_thread
from aweigh.archive.tar import tar_chunks
from aweigh.backends.engine.buildkit import BuildKitJob, run_buildkit
from aweigh.backends.engine.info import engine_info
from aweigh.backends.engine.local import inspect_image
from aweigh.backends.engine.messages import message_error
from aweigh.errors import EngineError, ImageGoneError
from aweigh.events import silent
from aweigh.image.append import code_config
from aweigh.image.code import Appended
from aweigh.image.pack import PLAIN, pack
from aweigh.image.quoting import exec_form, quoted, unexpanded
from aweigh.image.scratch import scratch
from aweigh.oci import Digest
from aweigh.oci.config import ImageConfig

if TYPE_CHECKING:
    from pathlib import Path

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.messages import Message
    from aweigh.image.code import CodeLayer
    from aweigh.image.image import Image
    from aweigh.image.pack import Packed
    from aweigh.oci import Reference

__all__ = ["EngineCoder"]

_TARGET: Final = "docker"
_LAYER: Final = "layer.tar"


class EngineCoder:
    """Adds layers of code in an engine's own store.

    Args:
        engine: The engine.
        directory: Where a layer lies until it is loaded.
        has_containerd_store: How the engine keeps images; None to ask it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        directory: Path,
        has_containerd_store: bool | None = None,
    ) -> None:
        self._engine = engine
        self._directory = directory
        self._has_containerd_store = has_containerd_store

    async def make(
        self, image: Image, reference: Reference, layer: CodeLayer
    ) -> Appended:
        """Put the code on an image, named ``reference`` in the engine.

        Cancelling leaves nothing under that name, or the whole image.

        Raises:
            ChangedError: A file is not what it was when it was listed.
            ImageGoneError: The engine no longer has the image.
            EngineError: The engine refused, or does not answer.
        """
        found = await inspect_image(self._engine, str(reference))
        if found is not None:
            return Appended(found.id, "found")
        below = await self._engine.fetch(f"images/{image.digest}/json")
        if below is None:
            raise self._gone(image)
        config = _config(below)
        if await self._needs_build():
            digest = await self._build(image, reference, layer, config)
        else:
            digest = await self._load(reference, layer, config)
        return Appended(digest, "built")

    async def _needs_build(self) -> bool:
        if self._has_containerd_store is None:
            info = await engine_info(self._engine)
            self._has_containerd_store = info.has_containerd_store
        return self._has_containerd_store

    async def _load(
        self, reference: Reference, layer: CodeLayer, config: ImageConfig
    ) -> Digest:
        errors: list[str] = []

        def hear(message: Message) -> None:
            if error := message_error(message):
                errors.append(error)

        async with scratch(self._directory) as directory:
            packed = await pack(list(layer.members()), directory, PLAIN)
            content = code_config(config, layer, packed.diff_id).to_bytes()
            members = _archive(reference, config, content, packed)
            await self._engine.stream_messages(
                "images/load",
                hear,
                idle=self._engine.deadlines.build,
                params={"quiet": "1"},
                body=in_thread(tar_chunks(members)),
                headers={"Content-Type": "application/x-tar"},
            )
        loaded = Digest.of(content)
        found = None if errors else await inspect_image(self._engine, str(loaded))
        if found is None:
            said = "; ".join(errors) or "it has no such image afterwards"
            raise EngineError(
                f"the engine at {self._engine.host} did not load the code for"
                f" {reference}: {said}",
                hint="try again; or name a registry (AWEIGH_REGISTRY), where no engine"
                " is needed for this",
            )
        return loaded

    async def _build(
        self,
        image: Image,
        reference: Reference,
        layer: CodeLayer,
        config: ImageConfig,
    ) -> Digest:
        named = await inspect_image(self._engine, str(image.reference))
        if named is None or named.id != image.digest:
            # BuildKit knows images of the engine by their names only.
            raise self._gone(image)
        job = BuildKitJob(
            dockerfile=_dockerfile(image.reference, layer, config),
            members=layer.members(),
            tag=str(reference),
            platform=named.platform,
            labels={},
        )
        return await run_buildkit(self._engine, job, silent)

    def _gone(self, image: Image) -> ImageGoneError:
        return ImageGoneError(
            f"the engine at {self._engine.host} has no {image.reference} ({image})",
            hint="somebody removed it; ensure the image again",
            target=_TARGET,
        )


def _config(found: Any) -> ImageConfig:
    """Put together what the engine tells of an image's config."""
    document = {
        "architecture": found.get("Architecture"),
        "os": found.get("Os"),
        "created": found.get("Created"),
        "config": found.get("Config") or {},
        "rootfs": {
            "type": "layers",
            "diff_ids": (found.get("RootFS") or {}).get("Layers"),
        },
    }
    if found.get("Variant"):
        document["variant"] = found["Variant"]
    return ImageConfig.parse(json.dumps(document).encode())


def _archive(
    reference: Reference, config: ImageConfig, content: bytes, packed: Packed
) -> list[Member]:
    """List an archive as ``docker save`` writes it, without the layers below.

    Source: moby's ``image/tarexport/load.go``: a layer's file is opened only when no
    layer with that chain of digests exists.
    """
    name = f"{Digest.of(content).hex}.json"
    below = [f"{digest.hex}.tar" for digest in config.diff_ids]
    manifest = json.dumps(
        [{"Config": name, "RepoTags": [str(reference)], "Layers": [*below, _LAYER]}]
    ).encode()
    return [
        _file("manifest.json", manifest),
        _file(name, content),
        Member(
            path=_LAYER,
            kind="file",
            size=packed.descriptor.size,
            source=packed.path,
            digest=packed.descriptor.digest,
        ),
    ]


def _file(path: str, content: bytes) -> Member:
    return Member(path=path, kind="file", size=len(content), source=content)


def _dockerfile(below: Reference, layer: CodeLayer, config: ImageConfig) -> str:
    # The layer's own digest makes no difference to the variables.
    variables = code_config(config, layer, Digest.of(b"")).environment
    set_to = " ".join(
        f"{name}={quoted(variables[name])}" for name in ("PATH", "PYTHONPATH")
    )
    source = unexpanded(layer.directory.lstrip("/"))
    copied = exec_form([f"{source}/", f"{unexpanded(layer.directory)}/"])
    lines = (
        f"FROM {below}",
        f"COPY {copied}",
        f"ENV {set_to}",
        f"WORKDIR {quoted(layer.directory)}",
    )
    return "\n".join(lines) + "\n"
