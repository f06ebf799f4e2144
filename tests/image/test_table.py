"""Specs from TOML: typed, anchored beside their file, helpful about typos."""

from pathlib import Path

import pytest

from aweigh.errors import SpecError
from aweigh.image.spec import ImageSpec
from aweigh.image.steps import PackagesStep
from tests.image.trees import make_tree

FULL = """
[project]
name = "acme"

[tool.aweigh.image]
name = "ghcr.io/acme/train"
base = "debian:12"
python = "3.12"
apt = ["git"]
packages = ["torch"]
index-url = "https://i.example/simple"
extra-index-urls = ["https://e.example/simple"]
find-links = ["links", "https://l.example/"]
pre = true
requirements = "requirements.txt"
lock = "pylock.toml"
project = { path = "sub", extras = ["gpu"], groups = ["dev"], install = true }
wheels = ["dist/*.whl"]
workdir = "/app"
user = "1000"
run = "make data"
entrypoint = ["python", "-m", "train"]
platforms = ["linux/amd64"]
optimize-layers = false

[tool.aweigh.image.files]
config = "/app/config"

[tool.aweigh.image.env]
A = "1"

[tool.aweigh.image.labels]
team = "ml"
"""


def write(directory: Path, text: str) -> Path:
    """Write a pyproject.toml."""
    path = directory / "pyproject.toml"
    path.write_text(text)
    return path


def test_every_key(tmp_path: Path) -> None:
    """The table says what the methods say, in the documented order."""
    options = {
        "index_url": "https://i.example/simple",
        "extra_index_urls": ("https://e.example/simple",),
        "find_links": (f"{tmp_path}/links", "https://l.example/"),
        "pre": True,
    }
    assert ImageSpec.from_toml(write(tmp_path, FULL)) == (
        ImageSpec("ghcr.io/acme/train", base="debian:12", python="3.12")
        .replace(optimize_layers=False)
        .with_platforms("linux/amd64")
        .with_apt("git")
        .with_lock(f"{tmp_path}/pylock.toml")
        .with_requirements(f"{tmp_path}/requirements.txt", **options)  # type: ignore[arg-type]
        .with_packages("torch", **options)  # type: ignore[arg-type]
        .with_project(
            f"{tmp_path}/sub", extras=["gpu"], groups=["dev"], install_project=True
        )
        .with_wheel(f"{tmp_path}/dist/*.whl")
        .with_env(A="1")
        .with_workdir("/app")
        .with_files(f"{tmp_path}/config", "/app/config")
        .with_run("make data")
        .with_user("1000")
        .with_labels({"team": "ml"})
        .with_entrypoint("python", "-m", "train")
    )


def test_the_least(tmp_path: Path) -> None:
    """Without a name it is the project's; ``project`` may be true or a path."""
    text = '[project]\nname = "acme"\n[tool.aweigh.image]\nproject = true\n'
    spec = ImageSpec.from_toml(write(tmp_path, text))
    assert spec == ImageSpec("acme").with_project(str(tmp_path))
    text = '[tool.aweigh.image]\nname = "b"\nproject = "sub"\n'
    spec = ImageSpec.from_toml(write(tmp_path, text))
    assert spec == ImageSpec("b").with_project(f"{tmp_path}/sub")
    text = '[tool.aweigh.image]\nname = "b"\nproject = false\n'
    assert ImageSpec.from_toml(write(tmp_path, text)) == ImageSpec("b")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pacakges = ['a']", "packages"),
        ("zzzzzz = 1", "packages"),
        ("packages = 1", "strings"),
        ("packages = [1]", "strings"),
        ("base = 1", "string"),
        ("env = ['A=1']", "table"),
        ("env = { A = 1 }", "table"),
        ("pre = 'yes'", "true or false"),
        ("project = 1", "path"),
        ("project = { pth = '.' }", "path"),
    ],
)
def test_mistakes(tmp_path: Path, line: str, told: str) -> None:
    """Unknown keys name the nearest one; wrong types name the right one."""
    path = write(tmp_path, f"[tool.aweigh.image]\nname = 'a'\n{line}\n")
    with pytest.raises(SpecError) as caught:
        ImageSpec.from_toml(path)
    assert told in caught.value.hint
    assert "tool.aweigh.image" in str(caught.value)


@pytest.mark.parametrize("text", ["[tool.aweigh]\n", "tool = 1", "]["])
def test_no_table(tmp_path: Path, text: str) -> None:
    """A file without the table is an error that names it."""
    with pytest.raises(SpecError, match=r"pyproject\.toml"):
        ImageSpec.from_toml(write(tmp_path, text))


def test_no_file(tmp_path: Path) -> None:
    """A missing file is an error that names it."""
    with pytest.raises(SpecError, match=r"nothing\.toml"):
        ImageSpec.from_toml(tmp_path / "nothing.toml")


def test_local_projects_start_at_the_file(tmp_path: Path) -> None:
    """Like all other paths of a table, whatever characters they have."""
    make_tree(
        tmp_path,
        {
            "a [b];c/pyproject.toml": '[project]\nname = "x"\n[tool.aweigh.image]\n'
            'packages = ["../mine[y]", "six", "z @ ./z ; os_name == \'nt\'"]\n',
            "mine/setup.py": "",
            "a [b];c/z/setup.py": "",
        },
    )
    spec = ImageSpec.from_toml(tmp_path / "a [b];c" / "pyproject.toml")
    (step,) = spec.steps
    assert isinstance(step, PackagesStep)
    mine, other = step.local.values()
    assert (mine.path, mine.extras) == (f"{tmp_path}/mine", "[y]")
    assert (other.path, other.marker) == (
        f"{tmp_path}/a [b];c/z",
        "os_name == 'nt'",
    )
    assert step.requirements[1] == "six"
