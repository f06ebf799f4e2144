"""`.dockerignore`: the cases Docker documents and tests."""

import pytest

from aweigh.errors import SpecError
from aweigh.image.dockerignore import DockerIgnore


def rules(*lines: str) -> DockerIgnore:
    """Parse some lines."""
    return DockerIgnore.parse("\n".join(lines), where=".dockerignore")


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        # docs.docker.com, "dockerignore files"
        ("*/temp*", "somedir/temporary.txt", True),
        ("*/temp*", "somedir/temp/file", True),
        ("*/temp*", "a/b/temporary.txt", False),
        ("*/*/temp*", "somedir/subdir/temporary.txt", True),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("**/*.go", "main.go", True),
        ("**/*.go", "a/b/c/main.go", True),
        ("/foo/bar", "foo/bar", True),
        ("foo/bar", "foo/bar", True),
        ("foo/bar/", "foo/bar", True),
        ("foo/bar", "x/foo/bar", False),
        ("./foo", "foo", True),
        ("*.md", "sub/README.md", False),
        ("*.md", "README.md", True),
        # moby/patternmatcher's own tests
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/", "file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir", False),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/*", "dir/dir2/dir2/file", True),
        ("**/dir2/**", "dir/dir2/dir2/file", True),
        ("**file", "dir/file", True),
        ("**/file", "file", True),
        ("dir/**/file", "dir/a/b/file", True),
        ("dir/**/file", "dir/file", True),
        ("a[b-d]e", "ace", True),
        ("a[b-d]e", "aae", False),
        ("a[^b-d]e", "aze", True),
        ("a[^b-d]e", "ace", False),
        ("a[[]b", "a[b", True),
        (r"a[\]]b", "a]b", True),
        (r"a\*b", "a*b", True),
        (r"a\*b", "axb", False),
        ("a\\", "a\\", True),
        ("a.b", "axb", False),
        ("a(b", "a(b", True),
        ("node_modules", "node_modules/x/y.js", True),
        ("a/b/c", "a/b", False),
        ("abc", "abc\ndef", False),
        ("a*", "a\nb", True),
        ("/", "file", False),
    ],
)
def test_one_pattern(pattern: str, path: str, *, ignored: bool) -> None:
    """A pattern is anchored at the root and covers what is below a match."""
    assert rules(pattern).ignores(path) is ignored


def test_the_last_match_wins() -> None:
    """The README example of Docker's documentation, in all its orders."""
    kept = rules("*.md", "!README*.md", "README-secret.md")
    assert kept.ignores("CHANGES.md")
    assert kept.ignores("README-secret.md")
    assert not kept.ignores("README-public.md")
    all_readmes = rules("*.md", "README-secret.md", "!README*.md")
    assert not all_readmes.ignores("README-secret.md")


def test_taking_back_below_an_ignored_directory() -> None:
    """Unlike git, Docker takes back files whose parent is ignored."""
    found = rules("docs", "!docs/README.md")
    assert found.ignores("docs/x.md")
    assert not found.ignores("docs/README.md")


def test_comments_blanks_and_bom() -> None:
    """A # at the very start of a line is a comment; spaces around are not meant."""
    found = DockerIgnore.parse(
        "\ufeff# c\n\n  *.log  \r\n ! keep.log\n #x\n", where="f"
    )
    assert found.ignores("a.log")
    assert not found.ignores("keep.log")
    assert found.ignores("#x")


@pytest.mark.parametrize("line", ["!", "a[b", "[z-a]", "[]"])
def test_malformed(line: str) -> None:
    """A pattern that cannot match is an error with the line's number."""
    with pytest.raises(SpecError, match="line 2"):
        rules("ok", line)


@pytest.mark.parametrize(
    ("lines", "prunes"),
    [
        (["a"], True),
        (["a", "!b"], True),
        (["a", "!a/b"], False),
        (["a", "!**/x"], False),
        (["a/b", "!a"], False),
        (["a", "!ab"], True),
    ],
)
def test_pruning(lines: list[str], *, prunes: bool) -> None:
    """An ignored directory is not walked unless something below may come back."""
    assert rules(*lines).prunes("a") is prunes
