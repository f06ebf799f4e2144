"""A bundle: the code of one directory, in a store, named by its content."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aweigh.bundle.form import Form
from aweigh.bundle.store import StoreUrl
from aweigh.errors import InvalidDigestError, InvalidValueError, SettingsError
from aweigh.oci.digest import Digest

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Bundle", "BundleUri", "Origin"]

_FOLDER = "/bundles/"


class Origin(StrEnum):
    """How we know that the store holds a bundle."""

    RECALLED = "recalled"
    FOUND = "found"
    UPLOADED = "uploaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Code that a store holds.

    Attributes:
        uri: Where it is; whoever fetches it needs nothing else.
        digest: Of its canonical manifest: equal exactly when the trees are.
        files: How many entries it has.
        size: Bytes of their contents, unpacked.
        uploaded_bytes: What this call sent to the store.
        origin: Whether it was remembered, there already, or uploaded by this call.
    """

    uri: str
    digest: Digest
    files: int
    size: int
    uploaded_bytes: int
    origin: Origin

    def __str__(self) -> str:
        return self.uri


@dataclass(frozen=True, slots=True)
class BundleUri:
    """The name of a bundle: ``<store url>/bundles/<hex digest>``.

    As an archive it is ``<store url>/bundles/<hex digest>/bundle.zip``, for example.

    Attributes:
        store: The store that holds it.
        digest: What its manifest must have, in whatever form it is.
        form: How it is kept.
    """

    store: StoreUrl
    digest: Digest
    form: Form = Form.PACKS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `Bundle.uri` says.

        Raises:
            InvalidValueError: It is not the name of a bundle.
        """
        location, folder, name = text.rpartition(_FOLDER)
        digest, form = Form.cut_off(name)
        if folder:
            try:
                hexed = Digest.parse(f"sha256:{digest}")
                return cls(StoreUrl.parse(location), hexed, form)
            except SettingsError as error:
                raise InvalidValueError(
                    f"this is no bundle URI: {error}", hint=error.hint
                ) from error
            except InvalidDigestError:
                pass
        raise InvalidValueError(
            "this is no bundle URI: it does not end in bundles/<64 hex digits>",
            hint="pass Bundle.uri as upload_bundle returned it",
        )

    @property
    def manifest(self) -> str:
        """Name of the object that holds the manifest; written last."""
        return f"bundles/{self.digest.hex}/manifest"

    @property
    def archive(self) -> str:
        """Name of the object that holds the bundle as an archive."""
        return f"bundles/{self.digest.hex}{self.form.suffix}"

    def __str__(self) -> str:
        return f"{self.store}{_FOLDER}{self.digest.hex}{self.form.suffix}"
