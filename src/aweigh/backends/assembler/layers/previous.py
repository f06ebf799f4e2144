"""What an earlier lock prefers, out of an image that anybody may have pushed."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Final

from aweigh.errors import InvalidManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["preferred"]

_HEAD: Final = 'lock-version = "1.0"\ncreated-by = "aweigh"\n'
# Names and versions as locks write them (PEP 503, PEP 440 in its normal form), and
# commits as ours do: whatever is written otherwise would make uv refuse all of it.
_NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERSION: Final = re.compile(
    r"(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc)[0-9]+)?(?:\.post[0-9]+)?"
    r"(?:\.dev[0-9]+)?(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?"
)
_COMMIT: Final = {
    "type": re.compile(r"git"),
    "url": re.compile(
        r"(?:https|ssh)://[A-Za-z0-9.-]+(?::[0-9]{1,5})?[\w./~-]*", re.ASCII
    ),
    "commit-id": re.compile(r"[0-9a-f]{40}"),
    "subdirectory": re.compile(r"[\w.-]+(?:/[\w.-]+)*", re.ASCII),
}
_LONGEST: Final = 200


def preferred(text: str) -> str:
    """Write what a resolution may prefer of a lock: versions and commits, no files.

    Packages that are not named as locks name them are left out.

    Raises:
        InvalidManifestError: It is no lock at all.
    """
    try:
        packages = tomllib.loads(text).get("packages")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidManifestError(
            f"its lock is no TOML: {error}", hint="push it again"
        ) from (error)
    if not isinstance(packages, list):
        raise InvalidManifestError("its lock has no packages", hint="push it again")
    found = (_package(one) for one in packages if isinstance(one, dict))
    return _HEAD + "".join(dict.fromkeys(found))


def _package(package: Mapping[str, object]) -> str:
    version, vcs = package.get("version"), package.get("vcs")
    lines = [f'name = "{package["name"]}"'] if _is(_NAME, package.get("name")) else []
    if version is not None and _is(_VERSION, version):
        lines.append(f'version = "{version}"')
    if isinstance(vcs, dict):
        lines += _commit(vcs)
    # A name alone prefers nothing.
    told = len(lines) > 1 and lines[0].startswith("name")
    return "\n".join(("", "[[packages]]", *lines, "")) if told else ""


def _commit(vcs: Mapping[str, object]) -> Iterator[str]:
    known = {key: vcs[key] for key in _COMMIT if key in vcs}
    complete = {"type", "url", "commit-id"} <= set(known)
    if complete and all(_is(_COMMIT[key], value) for key, value in known.items()):
        parts = (f"{key} = {json.dumps(value)}" for key, value in known.items())
        yield f"vcs = {{ {', '.join(parts)} }}"


def _is(pattern: re.Pattern[str], value: object) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _LONGEST
        and pattern.fullmatch(value) is not None
    )
