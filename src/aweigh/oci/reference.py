"""An image reference: ``registry/repository[:tag][@digest]``.

Grammar and normalisation are those of the distribution project
(github.com/distribution/reference, ``reference.go`` and ``normalize.go``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import total_ordering
from typing import Self

from aweigh.errors import InvalidDigestError, InvalidReferenceError
from aweigh.oci.digest import Digest

__all__ = ["DOCKER_HUB", "Reference"]

DOCKER_HUB = "docker.io"

_HUB_ALIASES = {DOCKER_HUB, "index.docker.io", "registry-1.docker.io"}
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_LABEL = r"(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])"
_HOST = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?", re.ASCII
)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME_LIMIT = 255


@total_ordering
@dataclass(frozen=True, slots=True)
class Reference:
    """Where an image is, and optionally which one exactly.

    Attributes:
        registry: Host and optional port; Docker Hub is always ``docker.io``.
        repository: Path inside the registry, such as ``library/python``.
        tag: A movable name, or empty.
        digest: The exact content, or None.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference as people write it: ``python`` is Docker Hub's.

        Raises:
            InvalidReferenceError: The grammar does not allow it; the message
                shows the part that is wrong.
        """
        if _IMAGE_ID.fullmatch(text):
            raise _invalid(text, "it looks like an image id", "write a name and a tag")
        rest, _, digest_text = text.partition("@")
        digest = _digest(text, digest_text) if "@" in text else None
        head, slash, last = rest.rpartition("/")
        last, colon, tag = last.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise _invalid(text, f"tag {tag!r}", _TAG_HINT)
        registry, repository = _split_registry(head + slash + last)
        _check_registry(text, registry)
        _check_repository(text, registry, repository)
        return cls(registry, repository, tag, digest)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Reference):
            return NotImplemented
        return self._order < other._order

    @property
    def _order(self) -> tuple[str, str, str, str]:
        digest = self.digest.hex if self.digest else ""
        return self.registry, self.repository, self.tag, digest

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def target(self) -> str:
        """What the distribution API calls ``<reference>``: digest, else tag."""
        return str(self.digest) if self.digest else self.tag or "latest"

    def with_tag(self, tag: str) -> Self:
        """Point at a tag instead of what this points at.

        Raises:
            InvalidReferenceError: It is no tag.
        """
        if not _TAG.fullmatch(tag):
            raise _invalid(f"{self.name}:{tag}", f"tag {tag!r}", _TAG_HINT)
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: Digest) -> Self:
        """Pin to exact content: ``repo@sha256:...``, without any tag."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


_TAG_HINT = "a tag is up to 128 of A-Z a-z 0-9 _ . - and starts with none of . -"


def _split_registry(name: str) -> tuple[str, str]:
    """Tell the host from the path (``splitDockerDomain`` in normalize.go)."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and (
        "." in first or ":" in first or first == "localhost" or first.lower() != first
    )
    registry, repository = (first, rest) if is_host else (DOCKER_HUB, name)
    if registry in _HUB_ALIASES:
        registry = DOCKER_HUB
        if "/" not in repository:
            repository = f"library/{repository}"
    return registry, repository


def _digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except InvalidDigestError as error:
        if "/" in digest:
            hint = "leave out user and password; log in with docker login"
            raise _invalid(f"...@{digest}", "it has a user", hint) from error
        raise _invalid(text, f"digest {digest!r}", error.hint) from error


def _check_registry(text: str, registry: str) -> None:
    if not _HOST.fullmatch(registry):
        raise _invalid(text, f"registry {registry!r}", "write it as host[:port]")


def _check_repository(text: str, registry: str, repository: str) -> None:
    for component in repository.split("/"):
        if not _COMPONENT.fullmatch(component):
            raise _invalid(
                text,
                f"repository component {component!r}",
                "use lower-case letters and digits, separated by single . or _, "
                "by __ or by dashes",
            )
    if len(registry) + 1 + len(repository) > _NAME_LIMIT:
        raise _invalid(
            text,
            f"name of {len(registry) + 1 + len(repository)} characters",
            f"registry and repository together may have {_NAME_LIMIT}",
        )


def _invalid(text: str, part: str, hint: str) -> InvalidReferenceError:
    return InvalidReferenceError(f"{text!r} is no image reference: {part}", hint=hint)
