"""Runs in a container: prints as JSON what Python finds there, imports and runs.

``inside.py look`` describes what is installed, ``uncompiled`` lists modules without
bytecode; ``imports`` and ``scripts`` try what standard input names, a JSON list.
Nothing but the standard library is there.
"""

import base64
import hashlib
import importlib.metadata
import importlib.util
import json
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

VENV = Path("/opt/venv")
WORKERS = 2
SECONDS = 240
UNCHECKED_HASH = 0b01


def distributions() -> list[importlib.metadata.Distribution]:
    """Return what is installed in the environment, not what the base has."""
    found = importlib.metadata.distributions()
    return [one for one in found if Path(str(one.locate_file(""))).is_relative_to(VENV)]


def look() -> dict[str, object]:
    """Return what metadata says, and what pip says of it."""
    check = attempt(sys.executable, "/tools/pip", "check")
    return {"metadata": describe(), "check": check}


def describe() -> dict[str, list[str]]:
    """Return each distribution's metadata and what is wrong with its RECORD."""
    found = {}
    for one in distributions():
        name = one.metadata["Name"]
        files = [file for file in one.files or [] if not is_incidental(file)]
        points = (f"{at.group}: {at.name} = {at.value}" for at in one.entry_points)
        found[f"{name}: version"] = [one.version]
        found[f"{name}: requires"] = sorted(one.requires or [])
        found[f"{name}: entry points"] = sorted(points)
        found[f"{name}: files"] = sorted(map(str, files))
        found[f"{name}: wrong"] = wrong(one)
    return found


def is_incidental(file: importlib.metadata.PackagePath) -> bool:
    """Whether a file says how something was installed, or can be made again."""
    return file.suffix == ".pyc" or file.name in {"REQUESTED", "direct_url.json"}


def wrong(found: importlib.metadata.Distribution) -> list[str]:
    """List files that are not as RECORD says."""
    return [
        str(file)
        for file in found.files or []
        if not Path(str(file.locate())).is_file() or not as_said(file)
    ]


def as_said(file: importlib.metadata.PackagePath) -> bool:
    """Whether a file has the size and digest that RECORD gives for it."""
    if file.hash is None:
        return True
    content = Path(str(file.locate())).read_bytes()
    digest = hashlib.new(file.hash.mode, content).digest()
    text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return text == file.hash.value and file.size in (None, len(content))


def uncompiled() -> list[str]:
    """List modules without bytecode that is loaded whatever the times of files are.

    A package's own tests need none.
    """
    return [
        str(path)
        for path in sorted(VENV.glob("lib/**/*.py"))
        if not has_bytecode(path) and not is_test(path) and compiles(path)
    ]


def is_test(module: Path) -> bool:
    """Whether only who tests a package imports this module."""
    name = module.name
    inside = {"test", "tests"} & set(module.parts)
    return bool(inside) and (name.startswith("test_") or name == "conftest.py")


def has_bytecode(module: Path) -> bool:
    """Whether a module has bytecode for this interpreter (PEP 552)."""
    cached = Path(importlib.util.cache_from_source(str(module)))
    if not cached.is_file():
        return False
    with cached.open("rb") as file:
        magic, flags = struct.unpack("<4sI", file.read(8))
    return bool(magic == importlib.util.MAGIC_NUMBER and flags == UNCHECKED_HASH)


def compiles(module: Path) -> bool:
    """Whether a module is one for this Python."""
    try:
        compile(module.read_bytes(), str(module), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def attempt(*argv: str) -> tuple[int, str]:
    """Run a command; return its status and the last line it said."""
    try:
        ended = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            cwd="/tmp",
        )
    except subprocess.TimeoutExpired:
        return 124, "timed out"
    except OSError as error:
        return 126, str(error)
    said = (ended.stderr or ended.stdout).decode(errors="replace").strip()
    return ended.returncode, said.rpartition("\n")[2][:300]


def try_import(name: str) -> tuple[int, str]:
    """Import a module in a process of its own."""
    code = "import importlib, sys; importlib.import_module(sys.argv[1])"
    return attempt(sys.executable, "-c", code, name)


def try_script(name: str) -> tuple[int, str]:
    """Run a script with the first harmless argument that it knows."""
    program = str(VENV / "bin" / name)
    status, said = attempt(program, "--help")
    return (status, said) if status == 0 else attempt(program, "--version")


def main() -> None:
    """Do what the first argument says."""
    if sys.argv[1] in {"look", "uncompiled"}:
        print(json.dumps(look() if sys.argv[1] == "look" else uncompiled()))
        return
    names = json.load(sys.stdin)
    tried = try_import if sys.argv[1] == "imports" else try_script
    with ThreadPoolExecutor(WORKERS) as pool:
        print(json.dumps(dict(zip(names, pool.map(tried, names), strict=True))))


if __name__ == "__main__":
    main()
