"""The files a planned layer is installed from: what exactly, and with which hashes.

Format: ``pylock.toml``, https://packaging.python.org/en/latest/specifications/pylock-toml/
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aweigh.archive.member import Member
from aweigh.image.grammar import is_url
from aweigh.image.lock import normalised
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aweigh.image.lock import Lock, LockedWheel
    from aweigh.image.plan import PythonLayer

__all__ = ["LOCK_PATH", "Pin", "pin_members", "pins"]

LOCK_PATH: Final = "layers/pylock.toml"
"""Where the whole lock is in a build context."""

_KEY_DIGITS = 16
_VCS = re.compile(
    r"(?P<type>[a-z]+)\+(?P<url>[^#]+)@(?P<commit>[^@#]+)(?:#subdirectory=(?P<sub>.+))?"
)


@dataclass(frozen=True, slots=True)
class Pin:
    """Some distributions that one command installs.

    Attributes:
        files: Wheels, or sources that one step wants; never both.
    """

    files: tuple[LockedWheel, ...]

    @property
    def builds(self) -> bool:
        """Whether they have to be built, with the index options of their step."""
        return not self.files[0].is_wheel

    @property
    def key(self) -> str:
        """A directory's name that stands for all of the content, and for nothing else.

        A layer that stays the same is so to BuildKit too, whatever is around it.
        """
        return Digest.of(self.text.encode()).hex[:_KEY_DIGITS]

    @property
    def path(self) -> str:
        """Where it is in a build context."""
        return f"layers/{self.key}/pylock.toml"

    @property
    def local(self) -> dict[str, str]:
        """Where local files are in the context, by the name they need beside it."""
        return {one.filename: one.url for one in self.files if not is_url(one.url)}

    @property
    def text(self) -> str:
        """The content: equal for equal distributions from equal places."""
        head = 'lock-version = "1.0"\ncreated-by = "aweigh"\n'
        return head + "".join(map(_package, self.files))


def pins(layer: PythonLayer) -> Iterator[Pin]:
    """Part a layer into what one command installs: wheels, then what must be built."""
    wheels = tuple(one for one in layer.wheels if one.is_wheel)
    if wheels:
        yield Pin(wheels)
    sources = [one for one in layer.wheels if not one.is_wheel]
    for step in sorted({one.step for one in sources}):
        yield Pin(tuple(one for one in sources if one.step == step))


def pin_members(layers: Sequence[PythonLayer], lock: Lock | None) -> Iterator[Member]:
    """Return what a build context needs besides the snapshot's files."""
    for layer in layers:
        for pin in pins(layer):
            yield _member(pin.path, pin.text)
    if layers and lock is not None:
        yield _member(LOCK_PATH, lock.text)


def _member(path: str, text: str) -> Member:
    content = text.encode()
    return Member(path=path, kind="file", size=len(content), source=content)


def _package(file: LockedWheel) -> str:
    return (
        f"\n[[packages]]\nname = {_text(file.name)}\n"
        f"version = {_text(file.version)}\n{_source(file)}\n"
    )


def _source(file: LockedWheel) -> str:
    """Say where it is; a commit has no hash but its own."""
    if vcs := _VCS.fullmatch(file.url):
        entry = {"type": vcs["type"], "url": vcs["url"], "commit-id": vcs["commit"]}
        subdirectory = {"subdirectory": vcs["sub"]} if vcs["sub"] else {}
        return f"vcs = {_table(entry | subdirectory)}"
    place = ("url", file.url) if is_url(file.url) else ("path", file.filename)
    hashes = f"hashes = {_table({'sha256': file.digest.hex})}"
    named = (
        f"{{ name = {_text(file.filename)}, {place[0]} = {_text(place[1])}, {hashes} }}"
    )
    if file.is_wheel:
        return f"wheels = [{named}]"
    if normalised(file.filename).startswith(normalised(f"{file.name}-{file.version}-")):
        return f"sdist = {named}"
    return f"archive = {{ {place[0]} = {_text(place[1])}, {hashes} }}"


def _table(values: Mapping[str, str]) -> str:
    items = (f"{key} = {_text(value)}" for key, value in values.items())
    return f"{{ {', '.join(items)} }}"


def _text(value: str) -> str:
    """Write a TOML string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)
