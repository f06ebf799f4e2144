"""The Docker Engine API: building, pushing, checking and running in an engine."""

from aweigh.backends.engine.build import EngineBuilder
from aweigh.backends.engine.checker import EngineChecker
from aweigh.backends.engine.client import Deadlines, Engine, open_engine
from aweigh.backends.engine.code import EngineCoder
from aweigh.backends.engine.containers import run_container
from aweigh.backends.engine.info import EngineInfo, engine_info
from aweigh.backends.engine.installer import InstallerSource, UvBinaries
from aweigh.backends.engine.local import LocalImage, inspect_image, tag_image
from aweigh.backends.engine.target import DockerTarget, SwarmTarget

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
