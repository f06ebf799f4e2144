"""The builder that runs in a container engine: for steps that execute something."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from aweigh.backends.engine.auth import secrets_of
from aweigh.backends.engine.base import BaseImages
from aweigh.backends.engine.buildkit import BuildKitJob, run_buildkit
from aweigh.backends.engine.installer import InstallerImages, UvBinaries
from aweigh.backends.engine.named import named_images
from aweigh.backends.engine.push import push_image
from aweigh.events import silent
from aweigh.events.build import BuildFinished, BuildStarted
from aweigh.image.build import Built
from aweigh.image.dockerfile import render as render_dockerfile
from aweigh.image.pins import pin_members

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.installer import InstallerSource
    from aweigh.backends.engine.push import ManifestHead
    from aweigh.events import Listener
    from aweigh.image.build import BuildRequest
    from aweigh.image.credential import CredentialSource
    from aweigh.image.lock import Lock
    from aweigh.image.plan import PythonLayer
    from aweigh.image.snapshot import Snapshot
    from aweigh.image.spec import ImageSpec
    from aweigh.oci import Digest, Platform, Reference

__all__ = ["EngineBuilder", "Render"]


class Render(Protocol):
    """Writes a spec as a Dockerfile; pure."""

    def __call__(
        self,
        spec: ImageSpec,
        snapshot: Snapshot,
        /,
        *,
        base: Reference | str,
        installer: str,
        platform: Platform,
        labels: Mapping[str, str],
        layers: Sequence[PythonLayer] | None,
        lock: Lock | None,
        done: Collection[int],
    ) -> str:
        """Return the text of the Dockerfile."""
        ...


class EngineBuilder:
    """Builds with the engine's BuildKit and pushes with the engine.

    Args:
        engine: An open engine.
        credentials: Who we are at registries, for bases and pushes.
        registry: Confirms what a push left behind.
        render: Writes specs as Dockerfiles.
        installer: Where the installer's binary comes from.
        listener: Hears steps, their lines and the push.
    """

    name = "engine"

    def __init__(
        self,
        engine: Engine,
        *,
        credentials: CredentialSource,
        registry: ManifestHead,
        render: Render = render_dockerfile,
        installer: InstallerSource | None = None,
        listener: Listener = silent,
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._registry = registry
        self._render = render
        self._installers = InstallerImages(engine, installer or UvBinaries())
        self._bases = BaseImages(engine, credentials, listener)
        self._listener = listener

    async def build(self, request: BuildRequest, /) -> Built:
        """Build one platform, and push it when the request says so.

        Cancelling stops the running step or push within a second. What was built
        completely stays tagged in the engine, also when the push fails: pushing
        again is then all there is to do.

        Raises:
            BuildError: A step failed, or the base is missing.
            PushError: The push failed, or the registry has something else.
            AuthenticationError: A registry wants other credentials.
            ChangedError: A file of the snapshot is not what it was.
            EngineError: The engine is missing, hung or broke off.
            RegistryError: The registry did not say what it has.
        """
        started = time.perf_counter()
        self._listener(
            BuildStarted(
                reference=request.reference,
                platform=request.platform,
                builder=self.name,
            )
        )
        image = await self._build(request)
        self._listener(
            BuildFinished(
                reference=request.reference,
                platform=request.platform,
                seconds=time.perf_counter() - started,
            )
        )
        if not request.push:
            return Built(image)
        return Built(
            await push_image(
                self._engine,
                request.reference,
                credentials=self._credentials,
                registry=self._registry,
                listener=self._listener,
            )
        )

    async def _build(self, request: BuildRequest) -> Digest:
        job = BuildKitJob(
            dockerfile=await self._dockerfile(request),
            members=(
                *request.snapshot.members,
                *pin_members(request.layers or (), request.lock),
            ),
            tag=str(request.reference),
            platform=request.platform,
            labels=request.labels,
            refresh=request.refresh,
        )
        return await run_buildkit(
            self._engine, job, self._listener, await self._secrets(request)
        )

    async def _dockerfile(self, request: BuildRequest) -> str:
        """Write the Dockerfile and have the images it names in the engine."""
        base = request.base
        if base is not None:
            base = await self._bases.ensure(base, request.platform)
        installer = self._installers.reference(request.platform)
        # Labels go through the API: they then cost no step, also in a Dockerfile spec.
        text = self._render(
            request.spec,
            request.snapshot,
            base=base or "",
            installer=installer,
            platform=request.platform,
            labels={},
            layers=request.layers,
            lock=request.lock,
            done=request.done,
        )
        if installer in text:
            await self._installers.ensure(request.platform)
        if base is None:
            for image in named_images(text):
                await self._bases.ensure_private(image, request.platform)
        return text

    async def _secrets(self, request: BuildRequest) -> tuple[str, ...]:
        registries = {request.reference.registry}
        if request.base is not None:
            registries.add(request.base.registry)
        found: list[str] = []
        for registry in sorted(registries):
            found += secrets_of(await self._credentials.credential(registry))
        return tuple(found)
