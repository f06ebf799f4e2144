"""What uv says when it fails, made short, safe and readable."""

from __future__ import annotations

import re
from typing import Final

from aweigh.errors import AweighError, ResolveError, SpecError

__all__ = ["explain", "needs_source", "scrub"]

_USERINFO = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#]*@")
_REQUIRED = re.compile(r"\byou require (?!any of|all of)(\S+)")
_SUBJECT = re.compile(r"(?:[Pp]ackage|build|download|requirement) `([^`]+)`")
_NOISE = ("warning:", "Using ", "Resolved ", "Prepared ", "Audited ")
_LIMIT = 1000
_NO_SOLUTION = "No solution found: "
_UNREADABLE = "a requirement cannot be read"
# (what uv writes, what it means, what to do); the first that is found counts.
_CAUSES: Final = (
    (
        r"401 Unauthorized|403 Forbidden|valid authentication credentials",
        "the package index wants other credentials",
        "set UV_INDEX_URL, netrc or a keyring for it; a spec holds no credentials",
    ),
    (
        r"certificate|UnknownIssuer",
        "the package index has a certificate that nobody here knows",
        "name your CA's certificates in SSL_CERT_FILE",
    ),
    (
        (
            r"error sending request|Request failed|HTTP status server error|timed out"
            r"|Failed to fetch|connectivity is disabled"
        ),
        "the package index gave no answer",
        "check its URL, the network and the proxy, then try again",
    ),
    (
        r"requires? Python|requires-python|not compatible with the",
        "a package is not for this Python",
        "choose another python= for the image, or another version of the package",
    ),
    (
        r"(?:Couldn't|Failed to) parse",
        _UNREADABLE,
        "correct it as name[extra]>=1; python_version < '3.13'",
    ),
    (
        (
            r"no usable wheels|building from source is disabled"
            r"|can't be installed because it doesn't have"
        ),
        "there is no wheel for this platform and Python",
        "choose a version that has one, or build with an engine",
    ),
    (
        _NO_SOLUTION,
        "no version fits",
        "loosen or remove the requirement, or name the index that has it",
    ),
    (
        r"Failed to build|build backend returned",
        "a source distribution cannot be read",
        "choose a version that has a wheel",
    ),
    (
        r"",
        "uv could not pin the packages",
        "the message is uv's; the same happens with: uv pip compile",
    ),
)


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
    requirement = required[-1].rstrip(",:.") if required else _subject(text)
    meaning, hint = next(
        (meaning, hint)
        for pattern, meaning, hint in _CAUSES
        if re.search(pattern, text, re.IGNORECASE)
    )
    about = f" ({requirement})" if requirement else ""
    message = f"{meaning}{about}: {_short(text.removeprefix(_NO_SOLUTION))}"
    if meaning == _UNREADABLE:
        return SpecError(message, hint=hint)
    return ResolveError(message, hint=hint, requirement=requirement)


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
        "No solution found when resolving dependencies cause: ", _NO_SOLUTION
    )


def _short(text: str) -> str:
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}..."


def _subject(text: str) -> str:
    found = _SUBJECT.search(text)
    return found[1] if found else ""
