"""The environment uv runs in: what steers the network and the cache, no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["build_environment", "scrubbed", "uv_environment"]

# Everything else of uv's would make one machine install other files than the next.
_KEPT: Final = re.compile(
    r"UV_(?:CACHE_DIR|CONCURRENT_\w+|DEFAULT_INDEX|EXTRA_INDEX_URL|HTTP_\w+|INDEX"
    r"|INDEX_URL|INDEX_\w+_(?:USERNAME|PASSWORD)|INSECURE_HOST|KEYRING_PROVIDER"
    r"|NATIVE_TLS|OFFLINE|REQUEST_TIMEOUT|SYSTEM_CERTS|PYTHON_INSTALL_DIR)"
)
_DROPPED: Final = re.compile(r"(?:UV_|PYTHON|PIP_|VIRTUAL_ENV|CONDA_).*")
# What programs need to start and to reach the network; a build sees nothing else.
_OF_BUILDS: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TEMP|TMP|SYSTEMROOT|NETRC|XDG_\w+|SSL_CERT_\w+"
    r"|REQUESTS_CA_BUNDLE|(?i:(?:https?|all|no)_proxy)|PYTHON_KEYRING_BACKEND"
)
# Builds that ask for the time, for random order or for a language get these.
_CONSTANT: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",
    "TZ": "UTC",
}
_USERINFO: Final = re.compile(r"(://)[^/\s@]+@")


def uv_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Leave out what could change what is installed."""
    return {
        name: value
        for name, value in environ.items()
        if _KEPT.fullmatch(name) or not _DROPPED.fullmatch(name)
    }


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a build backend may know of this machine."""
    return {
        name: value
        for name, value in environ.items()
        if _KEPT.fullmatch(name) or _OF_BUILDS.fullmatch(name)
    } | _CONSTANT


def scrubbed(text: str) -> str:
    """Take user and password out of URLs."""
    return _USERINFO.sub(r"\1", text)
