"""The forms that a bundle can have: packs of its own, or an archive for other tools."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from aweigh.errors import InvalidValueError

__all__ = ["Form", "FormName"]

FormName = Literal["packs", "tar.gz", "zip"]

_ARCHIVE: Final = "/bundle."


class Form(StrEnum):
    """How a bundle is kept in a store."""

    PACKS = "packs"
    TAR_GZ = "tar.gz"
    ZIP = "zip"

    @classmethod
    def parse(cls, text: str) -> Form:
        """Read a form's name.

        Raises:
            InvalidValueError: There is no such form.
        """
        if text in set(cls):
            return cls(text)
        raise InvalidValueError(
            f"a bundle cannot have the form {text!r}",
            hint=f"choose one of {', '.join(cls)}",
        )

    @classmethod
    def of_file(cls, name: str) -> Form:
        """Tell from a file's suffix which archive it is to be.

        Raises:
            InvalidValueError: It is none that we write.
        """
        for suffix, form in _SUFFIXES.items():
            if name.endswith(suffix):
                return form
        raise InvalidValueError(
            f"{name!r} does not say which archive it is to be",
            hint=f"let its name end in one of {', '.join(_SUFFIXES)}",
        )

    @classmethod
    def cut_off(cls, name: str) -> tuple[str, Form]:
        """Cut what `suffix` gives off a bundle's name."""
        for form in (cls.TAR_GZ, cls.ZIP):
            if name.endswith(form.suffix):
                return name.removesuffix(form.suffix), form
        return name, cls.PACKS

    @property
    def suffix(self) -> str:
        """What follows the digest in the name of a bundle."""
        return "" if self is Form.PACKS else f"{_ARCHIVE}{self}"


_SUFFIXES: Final = {".zip": Form.ZIP, ".tar.gz": Form.TAR_GZ, ".tgz": Form.TAR_GZ}
