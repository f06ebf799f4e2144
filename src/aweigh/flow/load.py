"""From a spec and a directory to one image that a target can run, healed if need be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from aweigh.concurrency.together import both
from aweigh.errors import ChangedError, ImageGoneError, TargetError
from aweigh.events import Warned
from aweigh.flow.target import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aweigh.events import Listener
    from aweigh.flow.code import CodeImages
    from aweigh.flow.prepare import Prepared, Ready
    from aweigh.image.ensure import ImageEnsurer
    from aweigh.image.image import Image, Location
    from aweigh.image.spec import ImageSpec
    from aweigh.memory import Memory

__all__ = ["Loaded", "Loader", "Prepare"]

T = TypeVar("T", bound=Target)

_RESTARTS: Final = 3


class Prepare(Protocol):
    """Makes image and bundle exist: `aweigh.flow.prepare` in a session."""

    async def __call__(self, spec: ImageSpec, directory: str | Path, /) -> Prepared:
        """Return what exists now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One image with everything in it.

    Attributes:
        ready: The image without the code, and the bundle with the same code.
        image: The image that has the code.
        spec: What the image was made of.
        directory: Where the code came from.
    """

    ready: Ready
    image: Image
    spec: ImageSpec
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Loads images for one session.

    Attributes:
        prepare: Makes image and bundle exist.
        images: What is remembered of images.
        codes: Puts the code on the image.
        memory: What is remembered.
        listener: Hears what happens.
    """

    prepare: Prepare
    images: ImageEnsurer
    codes: CodeImages
    memory: Memory
    listener: Listener

    async def load(self, spec: ImageSpec, directory: str | Path) -> Loaded:
        """Make an image exist that has a directory's code in it.

        Raises:
            ChangedError: The files changed each time the layer was made of them.
            ImageGoneError: The image vanished twice while the code was put on it.
            TargetError: The image stays in a layout, where nothing can run it.
            AweighError: What `Session.prepare` raises, or the holder of the image.

        Cancelling leaves what was complete by then.
        """
        restarts = _RESTARTS
        was_gone = False
        while True:
            prepared = await self.prepare(spec, directory)
            if await self._outgrown(prepared.ready.image, spec):
                continue
            _refuse_layout(prepared.ready.image)
            try:
                image = await self.codes.ensure(prepared, self.memory)
                break
            except ChangedError:
                # They changed between the scan and the layer: the bundle is right,
                # and it is no longer the one to run.
                restarts -= 1
                if restarts < 0:
                    raise
            except ImageGoneError as error:
                if was_gone:
                    raise
                was_gone = True
                await self._forget(prepared.ready.image, error)
        return Loaded(
            ready=prepared.ready,
            image=image,
            spec=spec,
            directory=Path(directory),
        )

    async def begin(
        self,
        spec: ImageSpec,
        directory: str | Path,
        find: Callable[[], Awaitable[T]],
    ) -> tuple[T, Loaded]:
        """Load while the target is being found; whoever cannot work stops the other.

        Raises:
            TargetError: This target cannot have such an image, or does not answer.
            AweighError: As `load`.
        """
        location = self.images.location(spec)
        if location == "registry":
            return await both(find(), self.load(spec, directory))
        # Who has to pull is refused before anything is built.
        target = await find()
        _refuse_unreachable(target, location, spec)
        return target, await self.load(spec, directory)

    async def heal(self, loaded: Loaded, error: ImageGoneError) -> Loaded:
        """Load once more what a target found missing, trusting no memory of it.

        Raises:
            AweighError: As `load`.
        """
        await self.codes.forget(loaded.image, self.memory)
        await self._forget(loaded.ready.image, error)
        return await self.load(loaded.spec, loaded.directory)

    async def _outgrown(self, image: Image, spec: ImageSpec) -> bool:
        """Forget an image of the time before there was an engine; say whether.

        What is remembered of a layout answers before an engine is asked for, which is
        right for who only wants the image, and of no use for who wants to run it.
        """
        stood_in = image.location == "layout" and self.images.location(spec) == "engine"
        if not stood_in or image.origin != "recalled" or self.codes.policy.offline:
            return False
        await self.images.forget(image, self.memory)
        return True

    async def _forget(self, image: Image, error: ImageGoneError) -> None:
        self.listener(
            Warned(
                message=f"{image} is not believed any more: {error}",
                hint="somebody deleted it; it is ensured once more",
            )
        )
        await self.images.forget(image, self.memory)


def _refuse_unreachable(target: Target, location: Location, spec: ImageSpec) -> None:
    if target.pulls:
        raise TargetError(
            f"{target.name} pulls its images, and image {spec.name} is in no registry",
            hint="name a registry: Settings(registry=...) or AWEIGH_REGISTRY",
            target=target.name,
        )
    if location == "layout":
        raise _in_layout(str(spec.name))


def _refuse_layout(image: Image) -> None:
    if image.location == "layout":
        raise _in_layout(str(image))


def _in_layout(image: str) -> TargetError:
    return TargetError(
        f"image {image} is in a layout on this machine, where nothing can run it",
        hint="start a container engine, or name a registry that the target can reach:"
        " AWEIGH_REGISTRY",
        target="layout",
    )
