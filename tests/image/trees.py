"""Files for the tests of specs: trees from dicts, wheels, projects."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PROJECT", "make_tree", "make_wheel"]

PROJECT = """
[project]
name = "acme"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["six"]
[project.optional-dependencies]
Gpu_Extra = ["idna"]
[dependency-groups]
dev = ["toolz"]
"""


def make_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files; a path that ends in ``!`` is executable."""
    for name, content in files.items():
        path = root / name.removesuffix("!")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o755 if name.endswith("!") else 0o644)
    return root


def make_wheel(
    directory: Path, name: str, *, requires: tuple[str, ...] = (), value: int = 1
) -> Path:
    """Write a wheel with one module that knows a value."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}-1.0-py3-none-any.whl"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    folder = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"VALUE = {value}\n",
        f"{folder}/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}"
        ),
        f"{folder}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n"
        ),
        f"{folder}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in files.items():
            info = zipfile.ZipInfo(member)  # no time: equal calls write equal wheels
            info.external_attr = 0o600 << 16
            wheel.writestr(info, text)
    return path
