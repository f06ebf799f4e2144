"""Dockerfile contexts: the files `docker build` would send."""

import os
from pathlib import Path

from aweigh.image.context import read_context
from aweigh.image.sources import Sources
from aweigh.image.steps import DockerfileStep
from tests.image.trees import make_tree


def context_paths(root: Path, step: DockerfileStep) -> list[str]:
    """Return the paths of a context."""
    sources = Sources(root, step="dockerfile step 0", prefix="steps/0")
    return [member.path for member in read_context(step, sources)[1]]


def test_everything_that_is_not_ignored(tmp_path: Path) -> None:
    """Directories (empty ones too), files and symlinks travel; sockets do not."""
    make_tree(tmp_path, {"Dockerfile": "FROM x", ".git/x": "", "a/b!": "1", "a-b": "2"})
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to(".")
    os.mkfifo(tmp_path / "fifo")
    assert context_paths(tmp_path, DockerfileStep("Dockerfile")) == [
        ".git",
        ".git/x",
        "Dockerfile",
        "a",
        "a-b",
        "a/b",
        "empty",
        "loop",
    ]


def test_ignored_and_taken_back(tmp_path: Path) -> None:
    """What is taken back below an ignored directory is found."""
    make_tree(
        tmp_path,
        {
            "Dockerfile": "FROM x",
            ".dockerignore": "*\n!docs/keep.md\n!src/**\n**/*.pyc",
            "docs/keep.md": "",
            "docs/drop.md": "",
            "src/a.py": "",
            "src/a.pyc": "",
            "node_modules/x": "",
        },
    )
    step = DockerfileStep("Dockerfile")
    assert context_paths(tmp_path, step) == ["docs/keep.md", "src/a.py"]


def test_a_dockerfile_may_have_its_own_rules(tmp_path: Path) -> None:
    """``<Dockerfile>.dockerignore`` beside it replaces the context's."""
    make_tree(
        tmp_path,
        {
            "docker/gpu": "FROM x",
            "docker/gpu.dockerignore": "b",
            "ctx/.dockerignore": "a",
            "ctx/a": "",
            "ctx/b": "",
        },
    )
    step = DockerfileStep("docker/gpu", "ctx")
    assert context_paths(tmp_path, step) == [".dockerignore", "a"]
