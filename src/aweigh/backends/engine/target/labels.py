"""How our containers and networks are known in an engine: by their labels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.backends.engine.holder import HOLDER_LABEL, this_holder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CONFIG_LABEL",
    "KIND_LABEL",
    "LOCK_KIND",
    "NAMESPACE_LABEL",
    "NAME_LABEL",
    "SECRETS_LABEL",
    "Labels",
    "container_name",
]

NAMESPACE_LABEL = "aweigh.namespace"
KIND_LABEL = "aweigh.kind"
NAME_LABEL = "aweigh.name"
# The kind of the container that never runs: its name is taken by whoever deploys.
LOCK_KIND = "lock"
# What a replica runs and how, so that a second deploy of the same restarts nothing.
CONFIG_LABEL = "aweigh.config"
# The names of the secrets a container has; the values are in its files alone.
SECRETS_LABEL = "aweigh.secrets"
# What the engine allows: RestrictedNameChars of moby's daemon/names.
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one namespace: who uses another one sees nothing of it."""

    namespace: str

    def of(self, kind: str, name: str, **more: str) -> dict[str, str]:
        """Return the labels of something that this process makes."""
        return {
            NAMESPACE_LABEL: self.namespace,
            KIND_LABEL: kind,
            NAME_LABEL: name,
            HOLDER_LABEL: this_holder(),
        } | {f"aweigh.{key}": value for key, value in more.items()}

    @property
    def network(self) -> Mapping[str, str]:
        """The labels of the namespace's network."""
        return {NAMESPACE_LABEL: self.namespace}

    def filters(self, name: str | None = None) -> dict[str, str]:
        """Return the query parameter that finds all of it, or all of one name."""
        wanted = [f"{NAMESPACE_LABEL}={self.namespace}"]
        if name is not None:
            wanted.append(f"{NAME_LABEL}={name}")
        return {"filters": json.dumps({"label": wanted})}


def container_name(namespace: str, *parts: str) -> str:
    """Return the engine's name for a container; unusable characters become dashes."""
    return _NOT_IN_NAMES.sub("-", "-".join((namespace, *parts)))
