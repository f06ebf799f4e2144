"""What becomes of a directory that is bundled."""

from __future__ import annotations

from dataclasses import dataclass

from aweigh.events.event import Event

__all__ = [
    "BundleUploaded",
    "FileSkipped",
    "TreeScanned",
    "UploadProgressed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeScanned(Event):
    """A directory was walked and its contents are known.

    Attributes:
        root: The directory.
        files: How many entries are in.
        size: Bytes of their contents.
        read: How many files had to be read.
        seconds: How long it took.
    """

    root: str
    files: int
    size: int
    read: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSkipped(Event):
    """A socket, device or FIFO was left out of a tree."""

    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadProgressed(Event):
    """Files of a bundle went to the store.

    Attributes:
        uri: Where the bundle will be.
        done: Bytes of file content that were packed and sent so far, uncompressed.
        total: Bytes of file content there are.
    """

    uri: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleUploaded(Event):
    """``upload_bundle`` has its answer.

    Attributes:
        uri: Where the bundle is.
        origin: ``recalled``, ``found`` or ``uploaded``.
        uploaded_bytes: What went over the wire for it.
        seconds: From the call to the answer.
    """

    uri: str
    origin: str
    uploaded_bytes: int
    seconds: float
