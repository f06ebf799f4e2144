"""From the SPEC argument to an image spec."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from aweigh.errors import SpecError
from aweigh.image.spec import ImageSpec

__all__ = ["load_spec", "spec_file"]


def spec_file(text: str | None) -> str | None:
    """Say which file SPEC names, whose edits change the spec; None for none.

    Raises:
        SpecError: There is no pyproject.toml to take.
    """
    if text is None:
        return _nearest_project(Path.cwd())
    if Path(text).is_file():
        return text
    module = sys.modules.get(text.partition(":")[0])
    return getattr(module, "__file__", None)


def load_spec(text: str | None, *, again: bool = False) -> ImageSpec:
    """Read what SPEC names.

    Args:
        text: The argument; None for the nearest pyproject.toml.
        again: Whether a module that was imported before is to be read anew.

    Raises:
        SpecError: It names nothing that is an image spec.
    """
    if text is None:
        return ImageSpec.from_toml(_nearest_project(Path.cwd()))
    path = Path(text)
    if path.suffix == ".toml":
        return ImageSpec.from_toml(text)
    if path.suffix == ".py" and path.is_file():
        return ImageSpec.from_script(text, name=_repository(path.stem))
    if path.is_file():
        folder = path.absolute().parent
        return ImageSpec.from_dockerfile(
            text, name=_repository(folder.name), context=str(path.parent)
        )
    if ":" in text:
        return _from_module(text, again=again)
    raise SpecError(
        f"there is no file {text!r} here, and it is not module:attribute",
        hint="name a pyproject.toml, a Dockerfile, a script or module:attribute; "
        "without a name it is the nearest pyproject.toml",
    )


def _nearest_project(start: Path) -> str:
    for folder in (start, *start.parents):
        project = folder / "pyproject.toml"
        if project.is_file() and "[tool.aweigh.image" in _text(project):
            return str(project)
    raise SpecError(
        f"no pyproject.toml with [tool.aweigh.image] in {start} or above",
        hint="write three lines into pyproject.toml: [tool.aweigh.image], "
        'name = "train", base = "python:3.12-slim"; or name a SPEC: a Dockerfile, a '
        "script, module:attribute",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise SpecError(
            f"cannot read {path}: {error.strerror or error}",
            hint="make it readable, or name another SPEC",
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{path} is not UTF-8, as TOML has to be", hint="save it as UTF-8"
        ) from error


def _repository(stem: str) -> str:
    """Make a repository name out of a file's name."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower())
    return "-".join(filter(None, name.split("-"))) or "image"


def _from_module(text: str, *, again: bool) -> ImageSpec:
    module_name, _, attribute = text.partition(":")
    loaded = sys.modules.get(module_name)
    # As `python -m` does: modules of the current directory come first.
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: object = (
            importlib.reload(loaded)
            if again and loaded is not None
            else importlib.import_module(module_name)
        )
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, SyntaxError, ValueError) as error:
        raise SpecError(
            f"cannot load {text!r}: {error}",
            hint="write module:attribute, importable from the current directory",
        ) from error
    except Exception as error:
        # Whatever a user's module raises is the user's to mend, not a bug of ours.
        raise SpecError(
            f"{module_name!r} cannot be imported: {type(error).__name__}: {error}",
            hint=f"mend it; python -c 'import {module_name}' shows where",
        ) from error
    finally:
        sys.path.pop(0)
    if not isinstance(found, ImageSpec):
        raise SpecError(
            f"{text!r} is a {type(found).__name__}, not an ImageSpec",
            hint="name the variable that holds the ImageSpec",
        )
    return found
