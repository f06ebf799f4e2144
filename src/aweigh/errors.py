"""Every error aweigh raises, in one tree; each says what to do next.

::

    AweighError
    ├── InvalidValueError        a text that cannot mean anything (also ValueError)
    │   ├── InvalidReferenceError, InvalidDigestError, InvalidPlatformError
    │   ├── InvalidManifestError a registry document that is ambiguous or malformed
    │   ├── SpecError            an image spec, or a file it names
    │   │   └── NeedsEngineError it cannot be assembled; an engine could build it
    │   └── SettingsError        a setting and where it came from
    ├── UndecidedError           no checker could say whether the image exists
    ├── RegistryError            the registry said no, or something unusable
    │   ├── AuthenticationError  it wants other credentials (CLI exit code 4)
    │   └── RegistryUnavailableError  it did not answer in time, 429 or 5xx
    ├── LayoutError              the image layout on this machine cannot be used
    ├── EngineError              the container engine said no
    │   ├── EngineUnavailableError    it did not answer at all
    │   ├── BuildError           a step failed; carries the step and its last lines
    │   └── PushError            the engine could not push what it built
    ├── TargetError              where tasks run, something said no
    │   ├── ImageGoneError       the image is not where it was said to be
    │   └── DeployError          a new version does not get well
    ├── ResolveError             no set of package versions fits
    ├── LockTimeoutError         another process held a lock for too long
    ├── WrongLoopError           something of one event loop was used in another
    ├── ChangedError             files kept changing while they were read
    ├── TreeError                an unreadable, escaping or oversized tree
    └── StoreError               the object store said no
        ├── StoreUnavailableError     it did not answer in time, or 5xx
        ├── BundleNotFoundError  the store does not hold this bundle
        └── DamagedError         stored bytes do not have the digest they should
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "AuthenticationError",
    "AweighError",
    "BuildError",
    "BundleNotFoundError",
    "ChangedError",
    "DamagedError",
    "DeployError",
    "EngineError",
    "EngineUnavailableError",
    "ImageGoneError",
    "InvalidDigestError",
    "InvalidManifestError",
    "InvalidPlatformError",
    "InvalidReferenceError",
    "InvalidValueError",
    "LayoutError",
    "LockTimeoutError",
    "NeedsEngineError",
    "PushError",
    "RegistryError",
    "RegistryUnavailableError",
    "ResolveError",
    "SettingsError",
    "SpecError",
    "StoreError",
    "StoreUnavailableError",
    "TargetError",
    "TreeError",
    "UndecidedError",
    "WrongLoopError",
]


class AweighError(Exception):
    """Root of everything aweigh raises on purpose.

    Attributes:
        hint: The next step for the person who reads the error.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint
        self.add_note(f"hint: {hint}")

    def __reduce__(
        self,
    ) -> tuple[Callable[..., AweighError], tuple[object, ...], dict[str, object]]:
        """Pickle without calling ``__init__``: its keywords are in the attributes."""
        return _restore, (type(self), *self.args), self.__dict__


def _restore(kind: type[AweighError], *args: object) -> AweighError:
    return kind.__new__(kind, *args)


class InvalidValueError(AweighError, ValueError):
    """A text that cannot be parsed into the value it should be."""


class InvalidReferenceError(InvalidValueError):
    """An image reference that the distribution grammar does not allow."""


class InvalidDigestError(InvalidValueError):
    """A digest that is malformed or of an algorithm we do not accept."""


class InvalidPlatformError(InvalidValueError):
    """A platform that is not ``os/architecture[/variant]``."""


class InvalidManifestError(InvalidValueError):
    """A manifest or index that is malformed, ambiguous or mislabelled."""


class SpecError(InvalidValueError):
    """An image spec that cannot be built, or a file it names is not usable."""


class NeedsEngineError(SpecError):
    """What was asked for cannot be assembled here, but an engine could build it.

    Raised before anything is pushed; ``builder="auto"`` turns to the engine.

    Attributes:
        reason: What it is that needs an engine, and why, without the image's name.
    """

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason, hint=hint)
        self.reason = reason


class SettingsError(InvalidValueError):
    """A setting with a value that it cannot have."""


class UndecidedError(AweighError):
    """Nobody could say whether the image exists, so nothing was assumed.

    Attributes:
        reference: The image that was asked for.
        reasons: What each checker said, by checker name.
        refused: Whether credentials are the reason (CLI exit code 4).
    """

    def __init__(
        self,
        reference: str,
        reasons: Mapping[str, str],
        *,
        hint: str,
        refused: bool = False,
    ) -> None:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        super().__init__(f"cannot tell whether {reference} exists ({told})", hint=hint)
        self.reference = reference
        self.reasons = dict(reasons)
        self.refused = refused


class RegistryError(AweighError):
    """The registry refused a request or answered something unusable.

    Attributes:
        registry: Host and port of the registry.
        status: HTTP status, or None when there was no HTTP answer.
        code: The registry's own error code, such as ``MANIFEST_UNKNOWN``.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        registry: str,
        status: int | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.registry = registry
        self.status = status
        self.code = code


class AuthenticationError(RegistryError):
    """The registry wants other credentials than the ones it was given."""


class RegistryUnavailableError(RegistryError):
    """The registry gave no usable answer in time; asking again later may help.

    Attributes:
        retry_after: Seconds the registry asked us to wait, when it did.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        registry: str,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(
            message, hint=hint, registry=registry, status=status, code=code
        )
        self.retry_after = retry_after


class LayoutError(AweighError):
    """The image layout on this machine is damaged, or the disk refused."""


class EngineError(AweighError):
    """The container engine refused a request.

    Attributes:
        status: HTTP status of the refusal, or None when there was none.
    """

    def __init__(self, message: str, *, hint: str, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class EngineUnavailableError(EngineError):
    """No container engine answered."""


class BuildError(EngineError):
    """A step of the image build failed.

    Attributes:
        step: The failing step as the builder names it.
        log: The last lines that step wrote, oldest first.
    """

    def __init__(
        self, message: str, *, hint: str, step: str = "", log: Sequence[str] = ()
    ) -> None:
        tail = "".join(f"\n    {line}" for line in log)
        super().__init__(message + tail, hint=hint)
        self.step = step
        self.log = tuple(log)


class PushError(EngineError):
    """The engine could not push an image, or pushed another one than it built."""


class TargetError(AweighError):
    """A target could not start, find or stop something.

    Attributes:
        target: The target's name.
    """

    def __init__(self, message: str, *, hint: str, target: str) -> None:
        super().__init__(message, hint=hint)
        self.target = target


class ImageGoneError(TargetError):
    """A target cannot get the image that we said is there; it may have been deleted."""


class DeployError(TargetError):
    """A new version of a service does not get well; the old one is kept.

    Attributes:
        log: The last lines that the new version wrote, oldest first.
    """

    def __init__(
        self, message: str, *, hint: str, target: str, log: Sequence[str] = ()
    ) -> None:
        tail = "".join(f"\n    {line}" for line in log)
        super().__init__(message + tail, hint=hint, target=target)
        self.log = tuple(log)


class ResolveError(AweighError):
    """The packages of a spec could not be pinned.

    Attributes:
        requirement: The requirement that is the reason; empty when it is none.
    """

    def __init__(self, message: str, *, hint: str, requirement: str = "") -> None:
        super().__init__(message, hint=hint)
        self.requirement = requirement


class LockTimeoutError(AweighError):
    """Another process does the same work and did not finish in time.

    Attributes:
        holder: Who that is, as it wrote down itself; empty when it did not.
        seconds: How long we waited.
    """

    def __init__(
        self, message: str, *, hint: str, holder: str = "", seconds: float = 0.0
    ) -> None:
        super().__init__(message, hint=hint)
        self.holder = holder
        self.seconds = seconds


class WrongLoopError(AweighError):
    """Something that belongs to one event loop was used in another."""


class ChangedError(AweighError):
    """Files changed while they were read; nothing was remembered.

    Attributes:
        paths: The files that changed, relative to what was read.
    """

    def __init__(self, message: str, *, hint: str, paths: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.paths = tuple(paths)


class TreeError(AweighError):
    """A directory that cannot become a bundle or a build context.

    Attributes:
        paths: The files that are the reason, relative to the directory.
    """

    def __init__(self, message: str, *, hint: str, paths: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.paths = tuple(paths)


class StoreError(AweighError):
    """The object store refused a request."""


class StoreUnavailableError(StoreError):
    """The object store gave no usable answer in time."""


class BundleNotFoundError(StoreError):
    """The store does not hold the bundle that was asked for."""


class DamagedError(StoreError):
    """Stored bytes that do not have the digest their name promises."""
