"""The config of an image: what runs, in which environment, on which layers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aweigh.errors import InvalidManifestError
from aweigh.oci import Digest, Platform
from aweigh.oci.descriptor import require

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ImageConfig"]

# What images without a time of their own get; the same as the files in our layers.
_CREATED: Final = "2000-01-01T00:00:00Z"
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """A config document (OCI image spec, config.md); unknown fields are kept.

    Attributes:
        document: The parsed JSON; never changed in place.
    """

    document: Mapping[str, Any]

    @classmethod
    def parse(cls, content: bytes) -> ImageConfig:
        """Read a config blob.

        Raises:
            InvalidManifestError: It is no config.
        """
        try:
            document = require(json.loads(content), dict, where="config")
        except ValueError as error:
            raise InvalidManifestError(
                "the config of an image is no JSON", hint="push the image again"
            ) from error
        config = cls(document)
        _ = config.platform, config.environment, config.diff_ids
        return config

    @property
    def platform(self) -> Platform:
        """Where the image runs."""
        return Platform.of(
            require(self.document.get("os"), str, where="config.os"),
            require(
                self.document.get("architecture"), str, where="config.architecture"
            ),
            self.document.get("variant") or "",
        )

    @property
    def environment(self) -> dict[str, str]:
        """Its environment variables."""
        entries = require(self._inner.get("Env") or [], list, where="config.Env")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)

    @property
    def path(self) -> str:
        """Where programs are looked for."""
        return self.environment.get("PATH") or _DEFAULT_PATH

    @property
    def workdir(self) -> str:
        """Its working directory; empty when it says none."""
        return self._inner.get("WorkingDir") or ""

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of its uncompressed layers, lowest first."""
        rootfs = require(self.document.get("rootfs"), dict, where="config.rootfs")
        found = require(rootfs.get("diff_ids"), list, where="config.rootfs.diff_ids")
        return tuple(Digest.parse(text) for text in found)

    def with_environment(self, variables: Mapping[str, str]) -> ImageConfig:
        """Set variables besides those it has."""
        merged = self.environment | dict(variables)
        return self._with(Env=[f"{name}={value}" for name, value in merged.items()])

    def with_labels(self, labels: Mapping[str, str]) -> ImageConfig:
        """Add labels."""
        merged = (self._inner.get("Labels") or {}) | dict(labels)
        return self._with(Labels=dict(sorted(merged.items())))

    def with_workdir(self, path: str) -> ImageConfig:
        """Set the working directory."""
        return self._with(WorkingDir=path)

    def with_user(self, user: str) -> ImageConfig:
        """Set the user."""
        return self._with(User=user)

    def with_entrypoint(self, argv: tuple[str, ...]) -> ImageConfig:
        """Set what the container starts; the base's arguments go with its program."""
        return self._with(Entrypoint=list(argv), Cmd=None)

    def with_layers(self, layers: Iterable[tuple[str, Digest]]) -> ImageConfig:
        """Put layers on top, each with a word on how it came to be."""
        added = list(layers)
        document = dict(self.document)
        created = document.setdefault("created", _CREATED) or _CREATED
        ids = [str(digest) for digest in (*self.diff_ids, *(one[1] for one in added))]
        history = document.get("history") or []
        told = sum(not entry.get("empty_layer") for entry in history)
        # Readers refuse a history that does not fit the layers, and take none.
        document.pop("history", None)
        if told == len(self.diff_ids):
            ours = [
                {
                    "created": created,
                    "created_by": f"aweigh {what}",
                    "comment": "aweigh",
                }
                for what, _ in added
            ]
            document["history"] = [*history, *ours]
        document["rootfs"] = {"type": "layers", "diff_ids": ids}
        return ImageConfig(document)

    def to_bytes(self) -> bytes:
        """The blob to push; equal configs give equal bytes."""
        return json.dumps(
            self.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()

    @property
    def _inner(self) -> dict[str, Any]:
        return self.document.get("config") or {}

    def _with(self, **fields: object) -> ImageConfig:
        inner = {**self._inner, **fields}
        kept = {name: value for name, value in inner.items() if value is not None}
        return replace(self, document={**self.document, "config": kept})
