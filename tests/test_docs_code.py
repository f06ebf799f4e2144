"""The code, settings and figures that the documentation shows are true."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import aweigh
from aweigh import ImageSpec, Session, Settings
from aweigh.image.table import _KEYS
from benchmarks.results import SECTIONS, replaced
from tests.pages import PAGES, ROOT, blocks, named, spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.pages import Block

HOUSE = Path(aweigh.__file__).parent
SETTING = re.compile(r"\bAWEIGH_([A-Z_]+)\b")
DOTTED = re.compile(r"aweigh(\.\w+){2,}")
# Variables of the repository's own Makefile and tests, which are no settings.
OF_TESTS = {"FIND_LINKS", "KILL_ROUNDS", "MIN_REAL_TESTS", "SERVICES_DIR"}
PYTHON = blocks("python")
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
ADD, FRESH = "add a light package", "add a light package, on a fresh machine"
TIMES, PUSHED = "### torch", "Pushed, MB"
WARM, BUNDLES = "### Warm calls", "### 10,000 files"
SENT = "### 10,000 files, then Bytes sent"
# What a page says, and the cell of the results it is from: below which line, in which
# row, in which column.
FIGURES = [
    ("README.md", "takes 1.8 s", TIMES, ADD, 1),
    ("README.md", "61 s with one", TIMES, ADD, 2),
    ("README.md", "takes 1.0 s", TIMES, ADD, 4),
    ("docs/why-not.md", "(61 s, 286 MB pushed)", TIMES, ADD, 2),
    ("docs/why-not.md", "286 MB pushed", PUSHED, ADD, 2),
    ("docs/why-not.md", "(1.8 s, 1.3 MB)", TIMES, ADD, 1),
    ("docs/why-not.md", "1.3 MB)", PUSHED, ADD, 1),
    ("docs/why-not.md", "1.0 s, 1.1 MB", TIMES, ADD, 4),
    ("docs/why-not.md", "1.1 MB: faster", PUSHED, ADD, 4),
    ("docs/why-not.md", "62 to 68 s", TIMES, FRESH, 3),
    ("docs/why-not.md", "68 s", TIMES, FRESH, 4),
    ("docs/why-not.md", "3.1 s", TIMES, FRESH, 1),
    ("docs/why-not.md", "0.15 s", TIMES, "repeat", 2),
    ("docs/why-not.md", "0.23 s", TIMES, "repeat", 1),
    ("docs/why-not.md", "0.2 s | 0.7 s", TIMES, "change the code", 2),
    ("docs/why-not.md", "0.7 s", TIMES, "change the code", 1),
    ("docs/why-not.md", "25 µs as a call", WARM, "memory", 1),
    ("docs/why-not.md", "31 µs | 25 µs", WARM, "Flyte's own cache read", 1),
    ("docs/why-not.md", "1033 ms | 77.2 ms", BUNDLES, "Flyte", 2),
    ("docs/why-not.md", "77.2 ms |", BUNDLES, "aweigh", 2),
    ("docs/parity.md", "1.6 ms from the database", WARM, "the database", 1),
    ("docs/parity.md", "25 µs from memory", WARM, "memory", 1),
    ("docs/layers.md", "1.26 MB for httpx", PUSHED, ADD, 1),
    ("docs/store-format.md", "[41 KB]", SENT, "aweigh", 4),
]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_settings_exist(page: Path) -> None:
    """Each variable that a page names is a setting."""
    known = {field.name.upper() for field in fields(Settings)} | OF_TESTS
    assert set(SETTING.findall(page.read_text())) <= known


def test_each_setting_has_its_row() -> None:
    """The page of the settings names each one."""
    text = (ROOT / "docs" / "settings.md").read_text()
    assert [f.name for f in fields(Settings) if f"`{f.name}`" not in text] == []


def test_each_key_of_an_image_has_its_row() -> None:
    """The page of images names each key of ``[tool.aweigh.image]``."""
    named_keys = set(spans(ROOT / "docs" / "images.md"))
    assert named_keys >= _KEYS


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_is_python(block: Block) -> None:
    """What a page shows compiles, and imports names of ours that exist."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compile(block.text, str(block.page), "exec", flags=flags, dont_inherit=True)
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "aweigh"
        ):
            assert node.module is not None
            public = exported(node.module)
            assert {alias.name for alias in node.names} <= public


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_arguments_exist(block: Block) -> None:
    """What a page calls of ours takes the arguments that it is given by name."""
    wrong = []
    for node in ast.walk(ast.parse(block.text)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if (function := OURS.get(name)) is None:
            continue
        known = inspect.signature(function).parameters
        if any(p.kind is p.VAR_KEYWORD for p in known.values()):
            continue
        wrong += [
            f"{name}({keyword.arg}=)"
            for keyword in node.keywords
            if keyword.arg is not None and keyword.arg not in known
        ]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_dotted_names_exist(page: Path) -> None:
    """A module, or something in one, that a sentence names by its whole name."""
    for name in filter(DOTTED.fullmatch, spans(page)):
        module, _, last = name.rpartition(".")
        assert source(name) or last in exported(module), name


def test_the_map_of_the_house_is_true() -> None:
    """Each file and folder that the page for contributors names is there."""
    missing = [
        text
        for text in spans(ROOT / "CONTRIBUTING.md")
        if re.fullmatch(r"[\w/.]+(/|\.py|\.md)", text)
        and not (ROOT / text).exists()
        and not (HOUSE / text.removeprefix("src/aweigh/")).exists()
        and not any(HOUSE.rglob(text))
    ]
    assert not missing


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_understood(block: Block, tmp_path: Path) -> None:
    """An image that a page describes is one."""
    project = tmp_path / "pyproject.toml"
    project.write_text(block.text)
    assert ImageSpec.from_toml(project).name


@pytest.mark.parametrize(("page", "says", "below", "row", "column"), FIGURES)
def test_figures_are_those_of_the_results(
    page: str, says: str, below: str, row: str, column: int
) -> None:
    """A figure that was measured anew is noticed where it is quoted."""
    text = " ".join((ROOT / page).read_text().split())
    assert says in text
    (said,) = re.findall(r"[\d.]+", says)[:1]
    table = RESULTS.read_text()
    for start in below.split(", then "):
        table = table.partition(start)[2]
    lines = [line for line in table.splitlines() if line.startswith(f"| {row}")]
    cell = lines[0].split("|")[column + 1]
    number = float(re.findall(r"[\d.,]+", cell)[0].replace(",", ""))
    units = (number, number / 1000)
    assert any(f"{value:.{len(said.partition('.')[2])}f}" == said for value in units)


def source(module: str) -> Path | None:
    """Find a module's file, without importing it: its host system may not be here."""
    place = HOUSE.joinpath(*module.split(".")[1:])
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in files if file.exists()), None)


@cache
def exported(module: str) -> frozenset[str]:
    """Read a module's public names."""
    file = source(module)
    assert file is not None, module
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return frozenset(names)
    raise AssertionError(module)


def public_calls() -> dict[str, Callable[..., object]]:
    """Return what users call: functions, classes and methods, by their names."""
    found: dict[str, Callable[..., object]] = {"ImageSpec": ImageSpec}
    for owner in (aweigh, Session, ImageSpec, Settings):
        for name in dir(owner):
            value = getattr(owner, name)
            if inspect.isfunction(value) or inspect.ismethod(value):
                found.setdefault(name, value)
    return found


OURS = public_calls()


@pytest.mark.parametrize("section", SECTIONS)
def test_results_have_a_place_for_each_section(section: str) -> None:
    """What is measured anew takes the place of the old figures, and of nothing else."""
    text = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    anew = replaced(text, section, "new figures\n")
    kept = [line for line in anew.splitlines() if line in text.splitlines()]
    assert anew.count("new figures") == 1
    assert len(kept) < len(text.splitlines())
    heads = re.compile(r"^## .*", re.MULTILINE)
    assert heads.findall(anew) == heads.findall(text)
