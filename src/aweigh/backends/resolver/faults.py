"""What uv says when it fails, made short, safe and readable."""

from __future__ import annotations

import re
from typing import Final

from aweigh.errors import AweighError, ResolveError, SpecError

__all__ = ["explain", "needs_source", "scrub"]

_USERINFO = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#]*@")
_REQUIRED = re.compile(r"\byou require (?!any of|all of)(\S+)")
_URL = re.compile(r"https?://[^\s)`]+")
_SUBJECT = re.compile(r"`([^`]+)`")
_NOISE = ("warning:", "Using ", "Resolved ", "Prepared ", "Audited ")
_LIMIT = 1000
# (what uv writes, what it means, what to do); the first that is found counts.
_CAUSES: Final = (
    (
        re.compile(
            r"401 Unauthorized|403 Forbidden|valid authentication credentials",
            re.IGNORECASE,
        ),
        "the package index wants other credentials",
        "set UV_INDEX_URL, netrc or a keyring for it; a spec holds no credentials",
    ),
    (
        re.compile(
            r"invalid peer certificate|UnknownIssuer|certificate", re.IGNORECASE
        ),
        "the package index has a certificate that nobody here knows",
        "name your CA's certificates in SSL_CERT_FILE",
    ),
    (
        re.compile(
            r"error sending request|Request failed|HTTP status server error|"
            r"timed out|Failed to fetch|connectivity is disabled",
            re.IGNORECASE,
        ),
        "the package index gave no answer",
        "check its URL, the network and the proxy, then try again",
    ),
    (
        re.compile(r"requires? Python|requires-python|not compatible with the"),
        "a package is not for this Python",
        "choose another python= for the image, or another version of the package",
    ),
)
_NO_SOLUTION = "No solution found"
_UNUSABLE = "can't be installed because it doesn't have"
_PARSING = re.compile(r"(?:Couldn't|Failed to) parse")
_BUILDING = re.compile(r"Failed to build|build backend returned", re.IGNORECASE)


def scrub(text: str) -> str:
    """Take user names and passwords out of all URLs."""
    return _USERINFO.sub(r"\1***@", text)


def needs_source(said: str) -> bool:
    """Whether a failure is only for want of wheels."""
    return "no usable wheels" in said or "building from source is disabled" in said


def explain(said: str, directory: str) -> AweighError:
    """Make an error of what uv wrote.

    Args:
        said: Its messages.
        directory: Where it ran; what is below is shown as in the build context.
    """
    text = _condensed(
        scrub(said).replace(f"file://{directory}/", "").replace(f"{directory}/", "")
    )
    required = _REQUIRED.findall(text)
    requirement = required[-1].rstrip(",:.") if required else ""
    for pattern, meaning, hint in _CAUSES:
        if pattern.search(text):
            return ResolveError(
                _told(meaning, requirement, text),
                hint=hint,
                requirement=requirement or _subject(text),
            )
    if _PARSING.search(text):
        return SpecError(
            f"a requirement cannot be read: {text[:_LIMIT]}",
            hint="correct it as name[extra]>=1; python_version < '3.13'",
        )
    if needs_source(text) or _UNUSABLE in text:
        return ResolveError(
            _told("there is no wheel for this platform and Python", requirement, text),
            hint="choose a version that has one, or build with an engine",
            requirement=requirement or _subject(text),
        )
    if _NO_SOLUTION in text:
        return ResolveError(
            _told("no version fits", requirement, text),
            hint="loosen or remove the requirement, or name the index that has it",
            requirement=requirement,
        )
    if _BUILDING.search(text):
        return ResolveError(
            _told("a source distribution cannot be read", requirement, text),
            hint="choose a version that has a wheel",
            requirement=requirement or _subject(text),
        )
    return ResolveError(
        _told("uv could not pin the packages", requirement, text),
        hint="the message is uv's; the same happens with: uv pip compile",
        requirement=requirement,
    )


def _condensed(said: str) -> str:
    """Drop warnings and what hangs below them; put the rest on one line."""
    kept: list[str] = []
    noisy = False
    for line in said.splitlines():
        if not line.startswith(" "):
            noisy = line.startswith(_NOISE)
        if not noisy and line.strip():
            kept.append(" ".join(line.split()))
    text = " ".join(kept).removeprefix("error: ")
    return text.replace(
        "No solution found when resolving dependencies cause: ", ("No solution found: ")
    )


def _told(meaning: str, requirement: str, text: str) -> str:
    about = f" ({requirement})" if requirement else ""
    reason = text.removeprefix("No solution found: ")
    short = reason if len(reason) <= _LIMIT else f"{reason[:_LIMIT]}..."
    return f"{meaning}{about}: {short}"


def _subject(text: str) -> str:
    found = _SUBJECT.search(text)
    return found[1] if found else ""
