"""``pylock.toml`` (PEP 751): one file chosen of each package, and written again."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from aweigh.errors import ResolveError
from aweigh.image.lock import LockedWheel, normalised
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aweigh.archive.member import Member
    from aweigh.backends.resolver.target import Target

__all__ = ["Reader", "is_vcs", "read_packages", "write_lock"]

_USERINFO = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)[^/?#@]*@")
_HEX = re.compile(r"[0-9a-f]{64}")
_Table = Mapping[str, object]


def read_packages(text: str) -> list[_Table]:
    """Return the packages of a lock.

    Raises:
        ResolveError: It is no lock.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ResolveError(
            f"the lock is no TOML: {exc}", hint="this is a bug in aweigh or uv"
        ) from exc
    return list(_tables(document.get("packages")))


@dataclass(frozen=True, slots=True)
class Reader:
    """Chooses files for one target.

    Attributes:
        target: What they must run on.
        root: Where the context was laid out.
        base: What paths of the lock are relative to.
        members: The context by path: local files are known from it.
        hashes: The SHA-256 of the only files that may be used, by project.
    """

    target: Target
    root: str
    base: str
    members: Mapping[str, Member]
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def choose(self, package: _Table, *, step: int, first_party: bool) -> LockedWheel:
        """Choose the wheel that an installer would, else the source distribution.

        Raises:
            ResolveError: It has neither, or one without a SHA-256.
        """
        name = normalised(str(package.get("name")))
        version = str(package.get("version", ""))
        vcs = package.get("vcs")
        if isinstance(vcs, Mapping):
            return _from_vcs(name, version, vcs, step)
        artifact = self._artifact(name, version, package)
        url = self._url(artifact)
        known = self.members.get(url)
        digest = known.digest if known else _digest(artifact)
        if digest is None:
            raise ResolveError(
                f"{name} {version} has no SHA-256 in its index",
                hint="use an index that has one, or add the file with with_wheel",
                requirement=f"{name}=={version}",
            )
        size = known.size if known else artifact.get("size")
        return LockedWheel(
            name=name,
            version=version,
            filename=_file_name(artifact),
            url=url,
            digest=digest,
            size=size if isinstance(size, int) else None,
            step=step,
            first_party=first_party,
        )

    def _artifact(self, name: str, version: str, package: _Table) -> _Table:
        wheels = self._allowed(name, package.get("wheels"))
        best = self.target.best(wheels)
        if best:
            return wheels[best]
        rest = [package.get(key) for key in ("archive", "sdist")]
        for one in self._allowed(name, rest).values():
            if self._is_usable(one):
                return one
        found = ", ".join(sorted(wheels)) or "no file that may be used"
        raise ResolveError(
            f"{name} {version} has nothing for {self.target.platform} with Python "
            f"{self.target.python} and {self.target.libc}: {found}",
            hint="choose another version or file hash, another python= or base",
            requirement=f"{name}=={version}",
        )

    def _allowed(self, name: str, artifacts: object) -> dict[str, _Table]:
        """Index files by name, without those that a requirements file rules out."""
        allowed = self.hashes.get(name)
        return {
            _file_name(one): one
            for one in _tables(artifacts)
            if allowed is None
            or ((digest := _digest(one)) is not None and digest.hex in allowed)
        }

    def _is_usable(self, artifact: _Table) -> bool:
        name = _file_name(artifact)
        return not name.endswith(".whl") or self.target.rank(name) is not None

    def _url(self, artifact: _Table) -> str:
        """Return a URL, or the path in the context of what was laid out."""
        url = artifact.get("url")
        if isinstance(url, str) and not url.startswith("file:"):
            return _USERINFO.sub(r"\1", url)
        path = unquote(urlsplit(url).path) if isinstance(url, str) else None
        place = posixpath.normpath(
            posixpath.join(self.base, path or str(artifact.get("path")))
        )
        if not place.startswith(f"{self.root}/"):
            raise ResolveError(
                f"{posixpath.basename(place)} is a file of this machine that the spec "
                "does not name",
                hint="name its directory in find_links=, or it in with_wheel",
            )
        return place.removeprefix(f"{self.root}/")


def _from_vcs(name: str, version: str, vcs: _Table, step: int) -> LockedWheel:
    """Pin a commit: the digest is of its whole address, which names its content."""
    url = _USERINFO.sub(r"\1", str(vcs.get("url")))
    commit = str(vcs.get("commit-id"))
    address = f"{vcs.get('type')}+{url}@{commit}"
    if subdirectory := vcs.get("subdirectory"):
        address += f"#subdirectory={subdirectory}"
    return LockedWheel(
        name=name,
        version=version,
        filename=f"{name}-{commit}",
        url=address,
        digest=Digest.of(address.encode()),
        size=None,
        step=step,
    )


def is_vcs(wheel: LockedWheel) -> bool:
    """Whether it is a commit, not a file."""
    return re.match(r"[a-z]+\+", wheel.url) is not None


def write_lock(python: str, wheels: Iterable[LockedWheel]) -> str:
    """Write a lock of exactly these files, without times or its tool's version."""
    lines = [
        'lock-version = "1.0"',
        'created-by = "aweigh"',
        f'requires-python = "=={python}.*"',
    ]
    for wheel in wheels:
        lines += ["", "[[packages]]", f"name = {_quoted(wheel.name)}"]
        if wheel.version:
            lines.append(f"version = {_quoted(wheel.version)}")
        lines.append(_artifact_line(wheel))
    return "\n".join(lines) + "\n"


def _artifact_line(wheel: LockedWheel) -> str:
    if is_vcs(wheel):
        kind, _, rest = wheel.url.partition("+")
        address, _, fragment = rest.partition("#")
        url, _, commit = address.rpartition("@")
        parts = {"type": kind, "url": url, "commit-id": commit}
        if fragment:
            parts["subdirectory"] = fragment.removeprefix("subdirectory=")
        told = ", ".join(f"{key} = {_quoted(value)}" for key, value in parts.items())
        return f"vcs = {{ {told} }}"
    key = "url" if "://" in wheel.url else "path"
    size = "" if wheel.size is None else f", size = {wheel.size}"
    table = (
        f"{{ name = {_quoted(wheel.filename)}, {key} = {_quoted(wheel.url)}{size}, "
        f'hashes = {{ sha256 = "{wheel.digest.hex}" }} }}'
    )
    return f"wheels = [{table}]" if wheel.is_wheel else f"sdist = {table}"


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, but for DEL, which no name or URL has.
    return json.dumps(text, ensure_ascii=False)


def _digest(artifact: _Table) -> Digest | None:
    hashes = artifact.get("hashes")
    found = hashes.get("sha256") if isinstance(hashes, Mapping) else None
    if not isinstance(found, str) or not _HEX.fullmatch(found):
        return None
    return Digest(found)


def _file_name(artifact: _Table) -> str:
    name = artifact.get("name")
    if isinstance(name, str):
        return name
    place = artifact.get("url") or artifact.get("path")
    return unquote(urlsplit(str(place)).path).rpartition("/")[2]


def _tables(found: object) -> Iterator[_Table]:
    items = found if isinstance(found, list) else ()
    return (item for item in items if isinstance(item, Mapping))
