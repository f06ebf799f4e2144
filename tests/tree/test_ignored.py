"""One path's fate is the same as in a walk."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aweigh.tree.ignored import folders_inside, why_ignored
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan

NAMES = st.sampled_from(["a", "b.log", "out", "__pycache__", "keep.log", "é", "venv"])
LINES = st.sampled_from(
    ["*.log", "!keep.log", "out/", "/a", "a/b.log", "**/out", "é", "!venv/"]
)


def test_names_the_rule(tmp_path: Path) -> None:
    """The rule is told as a bundle's dry run tells it, with its line."""
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".aweighignore").write_text("data/\n")
    (tmp_path / "sub" / "data").mkdir()
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    rules = Rules(exclude=("/secret",))

    def why(path: str) -> str:
        return why_ignored(str(tmp_path), rules, path)

    assert why("x.py") == ""
    assert why("x.log") == ".gitignore:1: *.log"
    assert why("keep.log") == ""
    assert why("gone/deep/x.log") == ".gitignore:1: *.log"
    assert why("sub/data") == "sub/.aweighignore:1: data/"
    assert why("sub/data/x.py") == "sub/.aweighignore:1: data/"
    assert why("sub/x/__pycache__/x.pyc") == "built-in: __pycache__/"
    assert why("env/lib/x.py") == "built-in: pyvenv.cfg"
    assert why("secret") == "--exclude /secret"
    inside = [
        os.path.relpath(path, tmp_path) for path in folders_inside(str(tmp_path), rules)
    ]
    assert sorted(inside) == [".", "sub"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=8),
    ignores=st.dictionaries(
        st.sampled_from(["", "a/", "out/"]), st.lists(LINES, max_size=3), max_size=3
    ),
)
def test_agrees_with_the_walk(
    tmp_path_factory: pytest.TempPathFactory,
    paths: set[str],
    ignores: dict[str, list[str]],
) -> None:
    """What a scan takes is not ignored, and what it skips is."""
    root = tmp_path_factory.mktemp("tree").resolve()
    (root / "anchor").touch()
    for path in sorted(paths):
        file = root / path
        if all(not parent.is_file() for parent in file.parents) and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    for folder, lines in ignores.items():
        if (root / folder).is_dir():
            (root / folder / ".gitignore").write_text("\n".join(lines))
    tree = scan(root, Rules())
    for entry in tree.entries:
        assert why_ignored(str(root), Rules(), entry.path) == ""
    for skipped in tree.skipped:
        assert why_ignored(str(root), Rules(), skipped.path.rstrip("/")) != ""
