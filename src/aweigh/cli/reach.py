"""What `aweigh doctor` looks at elsewhere: engine, target, registry and store."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aweigh.backends.engine import engine_info
from aweigh.bundle.store import Scheme, StoreUrl
from aweigh.cli.finding import Finding
from aweigh.cli.load import load_spec
from aweigh.errors import (
    AweighError,
    EngineUnavailableError,
    RegistryUnavailableError,
    SpecError,
)
from aweigh.image.job import Destination
from aweigh.oci import Reference
from aweigh.oci.layout import LAYOUT_HOST

if TYPE_CHECKING:
    from aweigh.cli.finding import Level
    from aweigh.settings import Settings
    from aweigh.wiring import Backends

__all__ = ["Reach"]

_PROBE: Final = "aweigh-doctor/probe"
_INSTALL: Final = (
    "sudo apt-get install docker.io (Debian, Ubuntu), or install Docker Desktop; an "
    "engine elsewhere: export DOCKER_HOST=ssh://user@host"
)
_COPY: Final = "registry.lan/python:3.12-slim"
_PATIENCE: Final = 10.0
_START: Final = "sudo systemctl start docker, or start Docker Desktop"


class Reach:
    """Tries everything that these settings name, as using it would."""

    def __init__(self, settings: Settings, backends: Backends) -> None:
        """Ask nothing yet.

        Args:
            settings: What is asked for.
            backends: What is tried.
        """
        self._settings = settings
        self._backends = backends
        self._lacks_engine: Finding | None = None

    async def engine(self) -> Finding:
        """Ask the engine what it can; it is optional until something names it."""
        needed = self._settings.builder == "engine" or self._settings.engine is not None
        try:
            info = await engine_info(await self._backends.engine())
        except EngineUnavailableError as error:
            self._lacks_engine = Finding(
                name="engine",
                detail=f"{error}: images of Python packages can be built, but nothing "
                "that executes a command, and nothing can be run",
                level="FAIL" if needed else "note",
                hint=_engine_hint(error),
            )
            return self._lacks_engine
        where = f"{info.version} (API {info.api_version}) at {info.host}"
        if not info.has_buildkit:
            return Finding(
                name="engine",
                detail=f"{where} has no BuildKit",
                level="FAIL" if needed else "note",
                hint="install Docker Engine 20.10 or newer; Podman's API has none",
            )
        return Finding(
            name="engine",
            detail=f"{where}, {info.platform}, {info.storage_driver}, BuildKit",
        )

    async def target(self) -> Finding:
        """Look whether tasks can run where the settings say."""
        if self._settings.target == "docker":
            if self._lacks_engine is not None:
                hint = self._lacks_engine.hint
                detail = "docker: nothing can be run without an engine"
                level = self._lacks_engine.level
                return Finding(name="target", detail=detail, level=level, hint=hint)
            return Finding(name="target", detail="docker: the engine")
        if self._lacks_engine is not None:
            hint = self._lacks_engine.hint
            detail = "swarm: no engine answers that could be in one"
            return Finding(name="target", detail=detail, level="FAIL", hint=hint)
        engine = await self._backends.engine()
        return _swarm((await engine.send("GET", "info")).get("Swarm") or {})

    async def registry(self) -> Finding:
        """Try what a push needs: open an upload in a repository of ours, drop it."""
        prefix = self._settings.registry
        if prefix is None:
            detail = f"none set: images stay in {await self._local()}"
            return Finding(
                name="registry",
                detail=detail,
                level="note",
                hint="export AWEIGH_REGISTRY=HOST/PREFIX, for other machines to pull",
            )
        if self._settings.offline:
            return Finding(name="registry", detail=f"{prefix}, not asked: offline")
        registry = await self._backends.registry()
        probe = Reference.parse(f"{prefix.removesuffix('/')}/{_PROBE}")
        known = await self._backends.credentials.credential(probe.registry)
        who = known.source if known is not None else "no credentials"
        try:
            may_push = await registry.can_push(probe)
        except RegistryUnavailableError as error:
            return Finding(
                name="registry",
                detail=str(error),
                level="FAIL",
                hint=f"curl -v https://{probe.registry}/v2/ shows why; if it speaks "
                f"plain HTTP: export AWEIGH_INSECURE_REGISTRIES={probe.registry}",
            )
        if may_push:
            return Finding(name="registry", detail=f"{prefix} lets us push ({who})")
        return Finding(
            name="registry",
            detail=f"{prefix} does not let us push ({who})",
            level="FAIL",
            hint=f"docker login {probe.registry}"
            + (", as somebody who may push there" if known is not None else ""),
        )

    async def store(self) -> Finding:
        """Try what an upload needs: to look, and to write a small object."""
        if self._settings.offline and self._settings.store is not None:
            detail = f"{self._settings.store_url}, not asked: offline"
            return Finding(name="store", detail=detail)
        store = await self._backends.store()
        await store.head("aweigh-doctor")
        url = StoreUrl.parse(self._settings.store_url)
        if url.scheme is not Scheme.FILE:
            await store.renew("aweigh-doctor", b"aweigh doctor was here\n", size=None)
            return Finding(name="store", detail=f"{store.url} lets us write")
        place = await asyncio.to_thread(_unwritable, Path(url.location))
        if place is None:
            return Finding(name="store", detail=f"{store.url} can be written")
        return Finding(
            name="store",
            detail=f"{store.url}: {place} cannot be written",
            level="FAIL",
            hint=f"sudo chown $USER {place}, or export AWEIGH_STORE=file:///another",
        )

    async def base(self) -> Finding | None:
        """Ask for the base of the project here; None without one."""
        try:
            spec = await asyncio.to_thread(load_spec, None)
        except SpecError:
            return None
        reference = spec.base_reference()
        if reference is None or reference.registry == LAYOUT_HOST:
            return None
        if self._settings.offline:
            return Finding(name="base", detail=f"{reference}, not asked: offline")
        # An engine may have a copy, or a mirror of its own.
        level: Level = "note" if self._lacks_engine is None else "FAIL"
        registry = await self._backends.registry()
        try:
            found = await registry.head_manifest(reference, deadline=_PATIENCE)
        except RegistryUnavailableError as error:
            hint = (
                f'copy it to a registry that answers, and name that: base = "{_COPY}"'
            )
            return Finding(name="base", detail=str(error), level=level, hint=hint)
        if found is not None:
            return Finding(name="base", detail=f"{reference} is there")
        detail = f"{reference.registry} has no {reference}"
        hint = "name one that is there: base = ... in pyproject.toml"
        return Finding(name="base", detail=detail, level=level, hint=hint)

    async def _local(self) -> str:
        """Name who holds images without a registry; a layout has to be readable."""
        local = Destination.of(self._settings).local
        if local == ("engine",):
            return "the engine"
        probe = Reference.parse(f"{LAYOUT_HOST}/{_PROBE}:1")
        await self._backends.layout.head_manifest(probe)
        place = str(self._settings.image_dir)
        if local == ("layout",) or self._lacks_engine is not None:
            return place
        return "the engine"


def _engine_hint(error: AweighError) -> str:
    """Name the one command, where the message leaves only one."""
    said = str(error)
    elsewhere = "at tcp://" in said or "at ssh://" in said
    missing = "no container engine" in said or "no engine is running" in said
    if missing and not elsewhere:
        installed = shutil.which("dockerd") or shutil.which("docker")
        return _START if installed else _INSTALL
    return error.hint


def _swarm(state: dict[str, Any]) -> Finding:
    if state.get("ControlAvailable"):
        nodes = state.get("Nodes", "?")
        return Finding(name="target", detail=f"swarm: a manager, {nodes} nodes")
    found = state.get("LocalNodeState") or "inactive"
    if found == "active":
        detail = "swarm: the engine is a worker, not a manager"
        hint = "docker node promote NODE, on a manager; or name a manager's engine"
    else:
        detail = f"swarm: the engine is in none ({found})"
        hint = "docker swarm init"
    return Finding(name="target", detail=detail, level="FAIL", hint=hint)


def _unwritable(folder: Path) -> Path | None:
    """Return what keeps us from writing to a directory that may not exist yet."""
    place = folder
    while not place.exists():
        place = place.parent
    return None if os.access(place, os.W_OK | os.X_OK) else place
