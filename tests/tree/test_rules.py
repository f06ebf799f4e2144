"""Rules: the built-in list, include and exclude."""

from __future__ import annotations

from pathlib import Path

import pytest

from aweigh.errors import SettingsError
from aweigh.tree.builtin import BUILTIN_EXCLUDES, DIRECTORY_MARKS
from aweigh.tree.rules import Rules
from aweigh.tree.scan import scan


def make(root: Path, *paths: str) -> None:
    """Make empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def found(root: Path, **rules: object) -> list[str]:
    """The paths that are in."""
    return [entry.path for entry in scan(root, Rules(**rules)).entries]  # type: ignore[arg-type]


SECRETS = (
    *(".env", "conf/.env.production", "server.pem", "tls/server.key", "id_rsa"),
    *(".ssh/config", ".netrc", "home/.pgpass", ".pypirc", ".git-credentials"),
    *(".docker/config.json", "x/.aws/credentials", "id_ed25519", ".kube/config"),
)


def test_secrets_and_junk_stay_home_and_are_told(tmp_path: Path) -> None:
    """Left out by default, each with its rule; templates and build/ stay in."""
    junk = (".git/HEAD", ".venv/x", "node_modules/x", "a/__pycache__/x", "a/m.pyc")
    keep = (".env.example", "build/x", "dist/x", "environment.py", "docker/config.json")
    make(tmp_path, *SECRETS, *junk, *keep)
    tree = scan(tmp_path, Rules())
    assert [entry.path for entry in tree.entries] == sorted(keep)
    skipped = {each.path: each.rule for each in tree.skipped}
    assert skipped[".env"] == "built-in: .env"
    assert skipped[".git/"] == "built-in: .git"
    for path in SECRETS:
        assert any(path == left or path.startswith(left) for left in skipped)
    assert all(rule.startswith("built-in: ") for rule in skipped.values())
    everything = found(tmp_path, builtin=False, gitignore=False)
    assert sorted(everything) == sorted((*SECRETS, *junk, *keep))


def test_the_builtin_list_explains_itself() -> None:
    """Every line has a reason, no line is there twice."""
    assert all(each.reason and each.pattern for each in BUILTIN_EXCLUDES)
    patterns = [each.pattern for each in BUILTIN_EXCLUDES]
    assert len(patterns) == len(set(patterns))


def test_the_builtin_list_is_documented() -> None:
    """Word for word, but for the ``**/`` that anchored lines need."""
    told = Path(__file__).parents[2].joinpath("docs/bundles.md").read_text()
    for each in BUILTIN_EXCLUDES:
        if not each.pattern.startswith("!"):
            assert f"`{each.pattern.removeprefix('**/')}`" in told
    for mark in DIRECTORY_MARKS:
        assert f"`{mark}`" in told


def test_gitignore_cannot_take_secrets_back_in(tmp_path: Path) -> None:
    """What git may track is not what may leave; .aweighignore says that."""
    make(tmp_path, ".env", "a.py")
    (tmp_path / ".gitignore").write_text("!.env\n")
    assert found(tmp_path) == [".gitignore", "a.py"]
    (tmp_path / ".aweighignore").write_text("!.env\n")
    assert ".env" in found(tmp_path)


@pytest.mark.parametrize("mark", ["pyvenv.cfg", "CACHEDIR.TAG"])
def test_environments_and_caches_are_known_by_their_mark(
    tmp_path: Path, mark: str
) -> None:
    """Whatever their name; the root itself is what the user asked for."""
    make(tmp_path, f"tools/py/{mark}", "tools/py/bin/python", "tools/a", mark)
    tree = scan(tmp_path, Rules())
    assert [entry.path for entry in tree.entries] == [mark, "tools/a"]
    assert [(each.path, each.rule) for each in tree.skipped] == [
        ("tools/py/", f"built-in: {mark}")
    ]


def test_exclude_wins_over_everything(tmp_path: Path) -> None:
    """Also over what .aweighignore takes back in; the size is told."""
    make(tmp_path, "data/a.bin", "a.bin", "data/b.txt", "deep/x/data/c")
    (tmp_path / "a.bin").write_bytes(b"12345")
    (tmp_path / ".aweighignore").write_text("!*.bin\n")
    tree = scan(tmp_path, Rules(exclude=("*.bin", "deep/**/data", ".aweigh*")))
    # deep/x was emptied by its owner's wish: it may be written to at run time.
    assert [entry.path for entry in tree.entries] == ["data/b.txt", "deep/x"]
    sizes = {each.path: (each.rule, each.size) for each in tree.skipped}
    assert sizes["a.bin"] == ("--exclude *.bin", 5)
    assert sizes["deep/x/data/"] == ("--exclude deep/**/data", 0)


def test_include_takes_in_only_what_matches(tmp_path: Path) -> None:
    """Files, whole directories, and nothing of the others, not even empty ones."""
    make(tmp_path, "a.py", "b.txt", "src/x/c.py", "src/d.txt", "pkg/e.txt", "pkg/f/g")
    (tmp_path / "void").mkdir()
    (tmp_path / "pkg/void").mkdir()
    assert found(tmp_path, include=("*.py", "/pkg")) == [
        *("a.py", "pkg/e.txt", "pkg/f/g", "pkg/void", "src/x/c.py"),
    ]
    assert found(tmp_path, include=("pkg",), exclude=("*.txt", "void")) == ["pkg/f/g"]
    assert found(tmp_path, include=("src/**/*.py",)) == ["src/x/c.py"]


def test_options_count_from_the_root_also_inside_a_work_tree(tmp_path: Path) -> None:
    """An anchored option means the directory that is scanned."""
    make(tmp_path, ".git/HEAD", "app/data/x", "app/a.py", "app/.docker/config.json")
    (tmp_path / ".gitignore").write_text("/app/a.py\n")
    root = tmp_path / "app"
    assert found(root, exclude=("/data",)) == []
    assert found(root, include=("/data",)) == ["data/x"]
    assert found(root, gitignore=False, exclude=("/data",)) == ["a.py"]
    tree = scan(root, Rules())
    assert "../.gitignore:1: /app/a.py" in {each.rule for each in tree.skipped}


@pytest.mark.parametrize("pattern", ["", "!a", "[", "a\\", "/", "#["])
def test_patterns_that_match_nothing_are_refused(pattern: str) -> None:
    """A typo must not send everything, or nothing."""
    with pytest.raises(SettingsError):
        Rules(exclude=(pattern,))
    with pytest.raises(SettingsError):
        Rules(include=(pattern,))
