"""The environment uv runs in: what steers the network and the cache, no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["scrubbed", "uv_environment"]

# Everything else of uv's would make one machine install other files than the next.
_KEPT: Final = re.compile(
    r"UV_(?:CACHE_DIR|CONCURRENT_\w+|DEFAULT_INDEX|EXTRA_INDEX_URL|HTTP_\w+|INDEX"
    r"|INDEX_URL|INDEX_\w+_(?:USERNAME|PASSWORD)|INSECURE_HOST|KEYRING_PROVIDER"
    r"|NATIVE_TLS|OFFLINE|REQUEST_TIMEOUT|SYSTEM_CERTS|PYTHON_INSTALL_DIR)"
)
_DROPPED: Final = re.compile(r"(?:UV_|PYTHON|PIP_|VIRTUAL_ENV|CONDA_).*")
_USERINFO: Final = re.compile(r"(://)[^/\s@]+@")


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out what could change what is installed."""
    return {
        name: value
        for name, value in environ.items()
        if _KEPT.fullmatch(name) or not _DROPPED.fullmatch(name)
    }


def scrubbed(text: str) -> str:
    """Take user and password out of URLs."""
    return _USERINFO.sub(r"\1", text)
