"""The calls that people make: a session's methods, each a use case of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from aweigh.bundle.form import Form
from aweigh.parts import Parts
from aweigh.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aweigh.bundle.bundle import Bundle
    from aweigh.bundle.form import FormName
    from aweigh.events import Listener
    from aweigh.flow.explain import Plan
    from aweigh.flow.prepare import Ready
    from aweigh.image.image import Image
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Memory
    from aweigh.oci import Digest
    from aweigh.parts import Backends
    from aweigh.settings import Settings

__all__ = ["Session"]


class Session(Starts):
    """Open resources; make one with `aweigh.open_session`."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        backends: Backends,
        *,
        listener: Listener,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(
            Parts(settings, memory, backends, listener=listener, clock=clock)
        )
        self.settings = settings
        self.memory = memory
        self.backends = backends

    async def ensure_image(
        self,
        spec: ImageSpec,
        *,
        platforms: Sequence[str] | None = None,
        rebuild: bool = False,
        upgrade: bool = False,
    ) -> Image:
        """Return the image of a spec, which exists when this returns.

        Cancelling stops a build unless another caller waits for it; nothing is tagged
        or remembered then.

        Args:
            spec: What is wanted; its relative paths start at the current directory.
            platforms: Platforms instead of the spec's own (default: this machine's).
            rebuild: Build although it may exist, on the base's newest release.
            upgrade: Build without the builder's cache as well: everything is newest.

        Raises:
            SpecError: The spec cannot be built, or names a file that is not there.
            UndecidedError: Nobody could say whether the image exists.
            EngineError: The build or the push failed.
            RegistryError: The registry refused.
            LayoutError: The layout on this machine is damaged, or the disk refused.
            ChangedError: A file changed while the builder read it.
        """
        return await self._parts.ensure(
            spec, self.memory, platforms=platforms, rebuild=rebuild, upgrade=upgrade
        )

    async def upload_bundle(
        self,
        directory: str | Path,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        follow: bool = False,
        form: FormName = "packs",
    ) -> Bundle:
        """Return the bundle of a directory, which the store holds when this returns.

        Cancelling leaves nothing visible in the store and nothing remembered.

        Args:
            directory: Where the code is.
            include: Globs; only what matches one goes in.
            exclude: Globs; what matches one stays out.
            follow: Take the content of symlinks that leave the directory, instead of
                refusing them.
            form: How the store is to hold it: as packs for `fetch_bundle`, or as one
                ``tar.gz`` or ``zip`` for other tools, which `Bundle.uri` then names.

        Raises:
            InvalidValueError: There is no such form.
            TreeError: The directory cannot be a bundle; the message names the files.
            ChangedError: Files kept changing while they were read.
            StoreError: The store refused or did not answer.
        """
        uploaded = await self._parts.upload(
            directory,
            self.memory,
            include=include,
            exclude=exclude,
            follow=follow,
            form=Form.parse(form),
        )
        return uploaded.bundle

    async def prepare(self, spec: ImageSpec, directory: str | Path) -> Ready:
        """Make a spec's image and a directory's bundle exist at the same time.

        The first failure cancels the other; what was verified is remembered anyway.

        Raises:
            AweighError: What `ensure_image` or `upload_bundle` raised.
            ExceptionGroup: Both failed.
        """
        prepared = await self._parts.prepare(spec, directory)
        return prepared.ready

    async def fetch_bundle(self, uri: str, destination: str | Path) -> Path:
        """Put a bundle's files at ``destination``, every one verified by digest.

        Cancelling leaves no half-written destination.

        Raises:
            InvalidValueError: It is no bundle's URI, or that of an archive.
            BundleNotFoundError: The store does not hold it.
            DamagedError: Stored bytes are not what they should be.
            StoreError: The store refused or did not answer.
        """
        asides = await self.backends.asides(self._parts)
        return await asides.fetch(uri, Path(destination))

    async def explain(
        self,
        spec: ImageSpec,
        directory: str | Path | None = None,
        *,
        platforms: Sequence[str] | None = None,
        layers: bool = True,
    ) -> Plan:
        """Say what `prepare` would do and why; builds, pushes, uploads nothing.

        For an image that would be built it resolves the packages, reads the base and
        asks the registry for each layer; nothing of that is remembered.

        Args:
            spec: What is wanted; its relative paths start at the current directory.
            directory: Where the code is; None leaves the bundle out.
            platforms: Platforms instead of the spec's own (default: this machine's).
            layers: Whether to tell which layers the image has or would have; without
                it, and when `Settings.offline`, only who would answer is found out.

        Raises:
            SpecError: The spec names a file that is not there.
            TreeError: The directory cannot be a bundle.
        """
        asides = await self.backends.asides(self._parts)
        return await asides.explain(
            spec,
            None if directory is None else Path(directory),
            platforms=platforms,
            layers=layers,
        )

    async def digest(self, spec: ImageSpec) -> Digest:
        """Digest a spec and the files it names; the image's tag begins with it.

        Raises:
            SpecError: It names a file that is not there.
        """
        take_snapshot = await self.backends.reader()
        snapshot = await asyncio.to_thread(take_snapshot, spec, Path.cwd())
        return snapshot.digest

    async def invalidate(self, image: Image) -> None:
        """Forget that this image exists: the next call asks its holder."""
        await self._parts.images.forget(image, self.memory)

    async def aclose(self) -> None:
        """Cancel what still runs; `open_session` calls this."""
        await self._parts.aclose()
