"""Two environments on the disk, compared file by file."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

# Who installed it, why and with which helpers is no content of a package.
_NO_CONTENT = re.compile(
    r"(?:.*/)?__pycache__/.*"
    r"|lib/[^/]+/[^/]+/[^/]+\.dist-info"
    r"/(?:RECORD|INSTALLER|REQUESTED|direct_url\.json)"
    r"|bin/(?:[Aa]ctivate.*|python[\d.]*)|include|lib64|pyvenv\.cfg|pylock\.toml"
    r"|\.gitignore"
)
_SHEBANG = b"#!/opt/venv/bin/python"
_EXTENSION = re.compile(r"\w+(?:\.(?:cpython-|abi)[^.]+)?\.so")
_ENTRY_POINT_LINES = 12


def files_of(venv: Path) -> dict[str, str]:
    """Return what each file of an environment is: its mode and its content.

    A script that only calls an entry point is no more than that, for each installer
    has its own words for it.
    """
    found = {}
    for path in _walk(venv):
        name = path.relative_to(venv).as_posix()
        if not _NO_CONTENT.fullmatch(name):
            found[name] = _what(path, name)
    return found


def _walk(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            yield Path(folder) / name


def _what(path: Path, name: str) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"link to {path.readlink()}"
    mode = "x" if status.st_mode & stat.S_IXUSR else "-"
    content = path.read_bytes()
    if name.startswith("bin/") and content.startswith(_SHEBANG):
        if b"sys.exit(" in content and len(content.splitlines()) <= _ENTRY_POINT_LINES:
            return f"{mode} entry point"
        content = content.partition(b"\n")[2]
    return f"{mode} {hashlib.sha256(content).hexdigest()}"


def modules_of(venv: Path) -> list[str]:
    """List what can be imported: the first regular module on each branch.

    Directories without ``__init__.py`` are namespaces that several distributions may
    share; what is in them counts, down to where there is one.
    """
    (packages,) = (venv / "lib").glob("python3.*/site-packages")
    return sorted(_modules(packages, ""))


def _modules(directory: Path, prefix: str) -> Iterator[str]:
    for path in directory.iterdir():
        name = path.name.partition(".")[0]
        if not name.isidentifier() or name == "__pycache__":
            continue
        if path.is_dir() and "." not in path.name:
            if (path / "__init__.py").is_file():
                yield f"{prefix}{name}"
            else:
                yield from _modules(path, f"{prefix}{name}.")
        elif path.name == f"{name}.py" or _EXTENSION.fullmatch(path.name):
            yield f"{prefix}{name}"


def scripts_of(venv: Path) -> list[str]:
    """List the programs of an environment, without its interpreter."""
    names = [path.name for path in (venv / "bin").iterdir()]
    return sorted(name for name in names if not _NO_CONTENT.fullmatch(f"bin/{name}"))
