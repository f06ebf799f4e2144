"""What texts in an image spec may look like: names, requirements, URLs, paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aweigh.errors import InvalidValueError, SpecError
from aweigh.oci import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CREDENTIAL_HINT",
    "check_absolute",
    "check_apt",
    "check_command",
    "check_env_name",
    "check_extra",
    "check_index_url",
    "check_links",
    "check_name",
    "check_path",
    "check_python",
    "check_reference",
    "check_requirement",
    "check_text",
    "check_user",
    "find_userinfo",
    "is_url",
    "several",
]

CREDENTIAL_HINT = "credentials come from the environment, netrc or keyring"

# Debian Policy 5.6.1 (package names), 5.6.12 (versions), and apt's name:architecture.
_APT = re.compile(
    r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+~:-]+)?", re.ASCII
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PYTHON = re.compile(r"[1-9][0-9]*\.(?:0|[1-9][0-9]*)", re.ASCII)
_USER_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?"
_USER = re.compile(rf"{_USER_PART}(?::{_USER_PART})?", re.ASCII)
# The start of a dependency specifier (packaging.python.org, "Dependency specifiers").
_PROJECT_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_REQUIREMENT = re.compile(
    rf"(?P<name>{_PROJECT_NAME.pattern})\s*"
    r"(?:\[[A-Za-z0-9._,\s-]*\])?\s*(?P<rest>$|[<>=!~;@(].*)",
    re.ASCII,
)
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# RFC 3986: the authority ends at the first of / ? #; userinfo is before its last @.
_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s]*)@")
# In a file, the string that holds a URL may end and another one begin.
_USERINFO_IN_FILE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s\"']*)@")
_NO_ARGUMENT = re.compile(r"[\x00\ud800-\udfff]")
# The Dockerfile parser reads lines of at most 64 KiB, and JSON takes up to six bytes
# for one of ours.
_LENGTH_LIMIT = 10_000
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


def check_name(name: str) -> None:
    """Refuse what cannot be an image's name: ``train``, ``ghcr.io/acme/train``.

    Raises:
        SpecError: It is empty, has a tag or digest, or breaks the grammar.
    """
    reference = check_reference("image name", name)
    if reference.tag or reference.digest:
        raise SpecError(
            f"image name {name!r} has a tag or digest",
            hint="leave it out: aweigh tags images by what is in them",
        )


def check_reference(what: str, text: str) -> Reference:
    """Parse an image reference of a spec.

    Raises:
        SpecError: It is empty or breaks the grammar.
    """
    if not text:
        raise SpecError(
            f"the {what} is empty", hint="name the image, such as ghcr.io/acme/train"
        )
    try:
        return Reference.parse(text)
    except InvalidValueError as exc:
        raise SpecError(f"{what}: {exc}", hint=exc.hint) from exc


def check_python(version: str) -> None:
    """Refuse a Python version that is not ``X.Y``.

    Raises:
        SpecError: It has another shape.
    """
    if not _PYTHON.fullmatch(version):
        raise SpecError(
            f"python {version!r} is no X.Y version",
            hint='write "3.12"; a patch version is chosen with base',
        )


def check_text(what: str, text: str) -> None:
    """Refuse texts a Dockerfile cannot carry: line breaks, NUL, lone surrogates.

    Raises:
        SpecError: The text has such a character, or is no text at all.
    """
    if not isinstance(text, str):
        raise SpecError(f"{what} is a {type(text).__name__}", hint="write a string")
    if _CONTROL.search(text):
        raise SpecError(
            f"{what} contains a line break or another control character",
            hint="keep it on one line, or put it into a file (with_files)",
        )
    check_command(what, text)


def check_command(what: str, text: str) -> None:
    """Refuse texts that cannot be an argument of a command.

    Raises:
        SpecError: It contains NUL or lone surrogates, or is too long for a line.
    """
    if _NO_ARGUMENT.search(text):
        raise SpecError(f"{what} contains NUL or is no Unicode", hint="leave that out")
    if len(text.encode()) > _LENGTH_LIMIT:
        raise SpecError(
            f"{what} is longer than {_LENGTH_LIMIT} bytes",
            hint="put it into a file: with_files, then use that",
        )


def check_path(what: str, path: str) -> None:
    """Refuse a path that cannot name a file.

    Raises:
        SpecError: It is empty or contains NUL or a line break.
    """
    if not path:
        raise SpecError(f"{what} has an empty path", hint="name a file or directory")
    check_text(f"the path of {what}", path)


def check_absolute(what: str, path: str) -> None:
    """Refuse a path inside the image that is not absolute, or climbs.

    Raises:
        SpecError: It does not start with ``/`` or has a ``..`` part.
    """
    check_text(what, path)
    if not path.startswith("/") or ".." in path.split("/"):
        raise SpecError(
            f"{what} {path!r} is not an absolute path",
            hint="start it with / and leave out .., such as /app/config",
        )


def check_apt(package: str) -> None:
    """Refuse what is no Debian package: ``git``, ``git=1:2.39.5-0``, ``libc6:i386``.

    Raises:
        SpecError: It is an option, a file or breaks Debian's grammar.
    """
    if not _APT.fullmatch(package):
        raise SpecError(
            f"{package!r} is no apt package",
            hint="write name or name=version, in lower case, one string per package",
        )


def check_env_name(name: str) -> None:
    """Refuse what is no portable environment variable name.

    Raises:
        SpecError: It has other characters than letters, digits and ``_``.
    """
    if not _ENV_NAME.fullmatch(name):
        raise SpecError(
            f"{name!r} is no environment variable name",
            hint="use letters, digits and _, and no digit first",
        )


def check_user(user: str) -> None:
    """Refuse what is no ``user[:group]``, by name or number.

    Raises:
        SpecError: It has another shape.
    """
    if not _USER.fullmatch(user):
        raise SpecError(
            f"{user!r} is no user", hint='write a name or number, such as "1000:1000"'
        )


def check_requirement(text: str) -> None:
    """Refuse requirements that are options, local files or carry credentials.

    Raises:
        SpecError: It is not ``name[extra] <version>; marker`` or ``name @ url``.
    """
    check_text("a requirement", text)
    _check_userinfo("a requirement", text)
    if text.startswith("-"):
        raise SpecError(
            f"{text!r} is an option, not a requirement",
            hint="use the parameters index_url, extra_index_urls, find_links and pre",
        )
    match = _REQUIREMENT.fullmatch(text)
    if match is None or (not match["rest"] and text.lower().endswith(_ARCHIVES)):
        raise SpecError(
            f"{text!r} is no requirement",
            hint='write "name>=1" or "name @ https://..."; '
            "local files go in with with_wheel or with_project",
        )
    rest = match["rest"]
    if rest.startswith("@") and not is_url(rest.removeprefix("@").lstrip()):
        raise SpecError(
            f"{text!r} names a local file",
            hint="add it with with_wheel or with_project",
        )


def check_extra(text: str) -> None:
    """Refuse what is no name of an extra or dependency group.

    Raises:
        SpecError: It has other characters than letters, digits and ``. _ -``.
    """
    if not _PROJECT_NAME.fullmatch(text):
        raise SpecError(
            f"{text!r} is no extra or group", hint="name one of the pyproject.toml"
        )


def several(what: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts of which there may be several; one alone is a mistake.

    Raises:
        SpecError: It is a string and not a sequence of strings.
    """
    if isinstance(texts, str):
        raise SpecError(f"{what} is one string", hint=f'write ("{texts}",)')
    return tuple(texts)


def is_url(text: str) -> bool:
    """Say whether this is a URL of something that is not on this machine."""
    return _URL.match(text) is not None and not text.lower().startswith("file:")


def check_index_url(what: str, url: str) -> None:
    """Refuse an index URL that carries credentials or is not http(s).

    Raises:
        SpecError: It is such a URL; the message never shows the credentials.
    """
    check_text(what, url)
    _check_userinfo(what, url)
    if not url.lower().startswith(("http://", "https://")):
        raise SpecError(
            f"{what} {url!r} is no http(s) URL",
            hint="a local directory of wheels goes into find_links",
        )


def check_links(link: str) -> None:
    """Refuse a find_links entry that is neither an http(s) URL nor a directory.

    Raises:
        SpecError: It carries credentials or another scheme.
    """
    check_path("find_links", link)
    if _URL.match(link):
        check_index_url("find_links", link)


def find_userinfo(text: str) -> bool:
    """Say whether a URL in a line of a file carries a user name or password.

    ``ssh://git@host`` does not count: the name there is no secret, and no login.
    """
    return any(map(_is_secret, _USERINFO_IN_FILE.findall(text)))


def _is_secret(found: tuple[str, str]) -> bool:
    scheme, userinfo = found
    return not (scheme.lower().endswith("ssh") and ":" not in userinfo)


def _check_userinfo(what: str, text: str) -> None:
    if any(map(_is_secret, _USERINFO.findall(text))):
        shown = _USERINFO.sub(r"\1://", text)
        raise SpecError(f"{what} carries credentials: {shown}", hint=CREDENTIAL_HINT)
