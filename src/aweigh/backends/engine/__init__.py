"""The Docker Engine API: building, pushing, checking and running in an engine."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aweigh.backends.engine.build import EngineBuilder
    from aweigh.backends.engine.checker import EngineChecker
    from aweigh.backends.engine.client import Deadlines, Engine, open_engine
    from aweigh.backends.engine.code import EngineCoder
    from aweigh.backends.engine.containers import run_container
    from aweigh.backends.engine.info import EngineInfo, engine_info
    from aweigh.backends.engine.installer import InstallerSource, UvBinaries
    from aweigh.backends.engine.local import LocalImage, inspect_image, tag_image
    from aweigh.backends.engine.target.docker import DockerTarget
    from aweigh.backends.engine.target.swarm import SwarmTarget

__all__ = [
    "Deadlines",
    "DockerTarget",
    "Engine",
    "EngineBuilder",
    "EngineChecker",
    "EngineCoder",
    "EngineInfo",
    "InstallerSource",
    "LocalImage",
    "SwarmTarget",
    "UvBinaries",
    "engine_info",
    "inspect_image",
    "open_engine",
    "run_container",
    "tag_image",
]

# Each is imported when it is first asked for: who runs builds nothing, and who builds
# has no target.
_WHERE = {
    "Deadlines": "client",
    "DockerTarget": "target.docker",
    "Engine": "client",
    "EngineBuilder": "build",
    "EngineChecker": "checker",
    "EngineCoder": "code",
    "EngineInfo": "info",
    "InstallerSource": "installer",
    "LocalImage": "local",
    "SwarmTarget": "target.swarm",
    "UvBinaries": "installer",
    "engine_info": "info",
    "inspect_image": "local",
    "open_engine": "client",
    "run_container": "containers",
    "tag_image": "local",
}

if not TYPE_CHECKING:  # checkers know the names from above, and no others

    def __getattr__(name: str) -> object:
        """Import a name of this package."""
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_WHERE[name]}")
        value = globals()[name] = getattr(module, name)
        return value
