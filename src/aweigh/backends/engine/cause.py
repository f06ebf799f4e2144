"""What to do about a failed build step, told from what the step wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aweigh.oci import Platform

__all__ = ["build_hint", "network_hint"]

_UV_UNKNOWN = re.compile(
    r"Because ([\w.\[\]-]+) was not found in the (?:package registry|provided package)"
)
_UV_NO_VERSION = re.compile(
    r"Because (?:there (?:is|are) no versions? of|only) "
    r"([\w.\[\]-]+(?:[=<>!~]=?[\w.*+]+)?)"
)
_UV_REQUIRED = re.compile(r"you require ([\w.\[\]-]+(?:[=<>!~,]+[\w.*+]+)*)")
_APT_UNKNOWN = re.compile(r"Unable to locate package (\S+)")
_APT_VERSION = re.compile(r"Version '[^']*' for '([^']+)' was not found")
_NETWORK = re.compile(
    r"Temporary failure (?:resolving|in name resolution)|Could not resolve host"
    r"|Name or service not known|no such host|connection refused|connection reset"
    r"|i/o timeout|x509:|TLS handshake"
    r"|dns error|Network is unreachable|Could not connect to|client error \(Connect\)",
    re.IGNORECASE,
)
_FRAME = re.compile("[│╰─▶\N{MULTIPLICATION SIGN}]+")


def build_hint(said: str, log: Sequence[str], platform: Platform) -> str:
    """Return the next step for a person whose build failed.

    Args:
        said: BuildKit's error.
        log: The last lines of the failing step, cleaned.
        platform: What was being built for.
    """
    # uv draws a frame and wraps its sentences: undo both before looking.
    text = " ".join(_FRAME.sub(" ", "\n".join((*log, said))).split())
    for find in (_emulation_hint(platform), *_FINDERS):
        if hint := find(text):
            return hint
    return "read the step's last lines above; run the step by hand in the base image"


def _emulation_hint(platform: Platform) -> Callable[[str], str]:
    def find(text: str) -> str:
        if "exec format error" not in text.lower():
            return ""
        return (
            f"the engine cannot run {platform} programs: install emulation (docker run "
            "--privileged --rm tonistiigi/binfmt --install all), or build on a machine "
            "of that platform"
        )

    return find


def _space_hint(text: str) -> str:
    if "no space left on device" not in text.lower():
        return ""
    return (
        "the engine's disk is full: free some (docker builder prune, docker image "
        "prune), or give it more"
    )


def _package_hint(text: str) -> str:
    if match := _UV_UNKNOWN.search(text):
        return (
            f"no index has a package named {match[1]!r}: check its spelling and the "
            "step's index options"
        )
    required = _UV_REQUIRED.search(text)
    if match := _UV_NO_VERSION.search(text):
        wanted = (required or match)[1]
        return (
            f"no version fits {wanted!r} for this Python and platform: loosen the "
            "requirement, or check the step's index options"
        )
    if "No solution found" not in text:
        return ""
    which = f" ({required[1]!r} is one of them)" if required else ""
    return f"the requirements contradict each other{which}: loosen one of them"


def _apt_hint(text: str) -> str:
    if match := _APT_UNKNOWN.search(text):
        return (
            f"the base's distribution has no apt package named {match[1]!r}: check its "
            "spelling, or the base's release"
        )
    if match := _APT_VERSION.search(text):
        return (
            f"that version of apt package {match[1]!r} is gone: name another, or none"
        )
    return ""


def network_hint(text: str) -> str:
    """Return the next step when a text tells of a server out of reach, else nothing."""
    if not _NETWORK.search(text):
        return ""
    return (
        "the engine could not reach a server: check its network and DNS, whether it "
        "needs a proxy, and whether it trusts the server's certificate"
    )


def _memory_hint(text: str) -> str:
    if not re.search(r"exit code: 137\b|signal: killed", text):
        return ""
    return "the step was killed, most likely for memory: give the engine more"


def _missing_hint(text: str) -> str:
    if not re.search(r"exit code: 127\b", text):
        return ""
    return "the base lacks a program that the step runs: install it before this step"


def _base_hint(text: str) -> str:
    if not re.search(
        r"pull access denied|manifest unknown|failed to resolve source metadata"
        r"|repository does not exist|no match for platform",
        text,
    ):
        return ""
    return (
        "check the spelling of the image and its tag, and whether it exists for "
        "this platform; if it is private, log in (docker login)"
    )


_FINDERS = (
    _space_hint,
    _package_hint,
    _apt_hint,
    network_hint,
    _base_hint,
    _memory_hint,
    _missing_hint,
)
