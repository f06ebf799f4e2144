"""The config of an image: what runs, in which environment, on which layers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aweigh.errors import InvalidManifestError
from aweigh.oci.descriptor import require
from aweigh.oci.digest import Digest
from aweigh.oci.platform import Platform

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
        except (ValueError, RecursionError) as error:
            raise InvalidManifestError(
                "the config of an image is no JSON", hint="push the image again"
            ) from error
        _check(document)
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
        where = "config.rootfs.diff_ids"
        found = require(rootfs.get("diff_ids"), list, where=where)
        return tuple(Digest.parse(require(text, str, where=where)) for text in found)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self._inner.get("Labels") or {})

    @property
    def told(self) -> list[str]:
        """How each layer came to be, as far as the history says."""
        history = self.document.get("history") or []
        layers = (entry for entry in history if not entry.get("empty_layer"))
        return [str(entry.get("created_by") or "") for entry in layers]

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


def _check(document: dict[str, Any]) -> None:
    """Refuse what has other types than the specification says, where we read it.

    Raises:
        InvalidManifestError: It has.
    """
    inner = require(document.get("config") or {}, dict, where="config.config")
    texts = {
        "config.variant": document.get("variant"),
        "config.WorkingDir": inner.get("WorkingDir"),
    }
    for at, one in enumerate(require(inner.get("Env") or [], list, where="config.Env")):
        texts[f"config.Env[{at}]"] = one
    labels = require(inner.get("Labels") or {}, dict, where="config.Labels")
    texts |= {f"config.Labels[{name!r}]": one for name, one in labels.items()}
    for where, text in texts.items():
        require("" if text is None else text, str, where=where)
    history = require(document.get("history") or [], list, where="config.history")
    for at, entry in enumerate(history):
        require(entry, dict, where=f"config.history[{at}]")
