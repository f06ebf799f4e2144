"""The spec digest: equal for equal images, different for any other."""

import os
import random
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aweigh.image.files import take_snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest
from tests.image.trees import make_tree, make_wheel

Change = Callable[[ImageSpec], ImageSpec]
BASE = ImageSpec("t", base="debian:12")

NAMES = st.text(string.ascii_lowercase + "é ", min_size=1, max_size=4).filter(
    lambda name: name.strip() == name
)
TREES = st.dictionaries(
    st.tuples(st.sampled_from(["", "d/", "d/e/"]), NAMES).map("".join),
    st.tuples(st.binary(max_size=9), st.booleans()),
    min_size=1,
    max_size=5,
).filter(lambda tree: not {"d", "d/e"} & tree.keys())
Tree = dict[str, tuple[bytes, bool]]


def write(root: Path, tree: Tree, seed: int) -> None:
    """Write a tree in some order, with some times."""
    shuffled = random.Random(seed)  # noqa: S311 - an order, not a secret
    names = sorted(tree)
    shuffled.shuffle(names)
    for name in names:
        content, executable = tree[name]
        make_tree(root, {name + "!" * executable: content})
        moment = shuffled.randrange(10**9)
        os.utime(root / name, (moment, moment))


def digest(spec: ImageSpec, root: Path) -> Digest:
    """Return the digest of a spec, its files below this root."""
    return take_snapshot(spec, root).digest


@settings(max_examples=40, deadline=None)
@given(tree=TREES, seeds=st.tuples(st.integers(), st.integers()))
def test_order_times_and_root_do_not_count(tree: Tree, seeds: tuple[int, int]) -> None:
    """The same files written elsewhere, later, in another order: the same image."""
    spec = BASE.with_files("src", "/app")
    context = ImageSpec.from_dockerfile("Dockerfile", name="t", context="src")
    found = []
    for seed in seeds:
        with TemporaryDirectory() as root:
            write(Path(root, "src"), tree, seed)
            make_tree(Path(root), {"Dockerfile": "FROM x"})
            found.append((digest(spec, Path(root)), digest(context, Path(root))))
    assert found[0] == found[1]


@settings(max_examples=60, deadline=None)
@given(one=TREES, other=TREES)
def test_different_trees_differ(one: Tree, other: Tree) -> None:
    """Digests are equal exactly when path, content and exec bit of all files are."""
    spec = BASE.with_files("src", "/app")
    context = ImageSpec.from_dockerfile("Dockerfile", name="t", context="src")
    found = []
    for tree in (one, other):
        with TemporaryDirectory() as root:
            write(Path(root, "src"), tree, 0)
            make_tree(Path(root), {"Dockerfile": "FROM x"})
            found.append((digest(spec, Path(root)), digest(context, Path(root))))
    assert (found[0][0] == found[1][0]) is (one == other)
    assert (found[0][1] == found[1][1]) is (one == other)


TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "bc", "c"]), min_size=1, max_size=3)
STEPS = st.one_of(
    st.builds(lambda t: lambda s: s.with_apt(*(x * 2 for x in t)), TEXTS),
    st.builds(lambda t: lambda s: s.with_packages(*t), TEXTS),
    st.builds(lambda t, p: lambda s: s.with_packages(*t, pre=p), TEXTS, st.booleans()),
    st.builds(
        lambda t: (
            lambda s: s.with_packages(
                "x", extra_index_urls=[f"https://{x}.example" for x in t]
            )
        ),
        TEXTS,
    ),
    st.builds(
        lambda t: (
            lambda s: s.with_packages(
                "x", find_links=[f"https://{x}.example" for x in t]
            )
        ),
        TEXTS,
    ),
    st.builds(
        lambda t: lambda s: s.with_packages("x", index_url=f"https://{t[0]}.example"),
        TEXTS,
    ),
    st.builds(lambda t: lambda s: s.with_env(**dict.fromkeys(t, t[0])), TEXTS),
    st.builds(lambda t: lambda s: s.with_labels(dict.fromkeys(t, t[0])), TEXTS),
    st.builds(lambda t: lambda s: s.with_run(*t), TEXTS),
    st.builds(lambda t: lambda s: s.with_entrypoint(*t), TEXTS),
    st.builds(lambda t: lambda s: s.with_user(t[0]), TEXTS),
    st.builds(lambda t: lambda s: s.with_workdir("/" + t[0]), TEXTS),
)


@settings(max_examples=300, deadline=None)
@given(
    one=st.lists(STEPS, max_size=3),
    other=st.lists(STEPS, max_size=3),
    python=st.sampled_from([(None, None), ("3.12", None), ("3.12", "3.12")]),
)
def test_different_specs_differ(
    one: list[Change], other: list[Change], python: tuple[str | None, str | None]
) -> None:
    """Digests are equal exactly when the specs are."""
    specs = []
    for changes, version in zip((one, other), python, strict=True):
        spec = replace(BASE, python=version)
        for change in changes:
            spec = change(spec)
        specs.append(spec)
    root = Path("/nowhere")
    same = digest(specs[0], root) == digest(specs[1], root)
    assert same is (specs[0] == specs[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda s: s.with_apt("git"), lambda s: s.with_packages("git")),
        (lambda s: s.with_packages("ab", "c"), lambda s: s.with_packages("a", "bc")),
        (
            lambda s: s.with_packages("a", index_url="https://i.example"),
            lambda s: s.with_packages("a", extra_index_urls=["https://i.example"]),
        ),
        (lambda s: s.with_packages("a", "b"), lambda s: s.with_packages("b", "a")),
        (
            lambda s: s.with_packages("a").with_packages("b"),
            lambda s: s.with_packages("a", "b"),
        ),
        (lambda s: s.with_env(A="1"), lambda s: s.with_env(A="2")),
        (lambda s: s.with_env(A="b"), lambda s: s.with_labels({"A": "b"})),
        (lambda s: s.with_run("a"), lambda s: s.with_entrypoint("a")),
        (
            lambda s: s.with_run("a").with_apt("git"),
            lambda s: s.with_apt("git").with_run("a"),
        ),
        (lambda s: s, lambda s: s.replace(base="debian:13")),
        (lambda s: s, lambda s: s.replace(python="3.12")),
        (lambda s: s, lambda s: s.replace(optimize_layers=False)),
        (
            lambda s: s.with_requirements("r.txt"),
            lambda s: s.with_requirements("r.txt", pre=True),
        ),
        (
            lambda s: s.with_requirements("r.txt"),
            lambda s: s.with_requirements("r2.txt"),
        ),
        (lambda s: s.with_project("p"), lambda s: s.with_project("p", extras=["g"])),
        (
            lambda s: s.with_project("p", groups=["g"]),
            lambda s: s.with_project("p", extras=["g"]),
        ),
        (
            lambda s: s.with_project("p"),
            lambda s: s.with_project("p", install_project=True),
        ),
        (lambda s: s.with_files("r.txt", "/a"), lambda s: s.with_files("r.txt", "/b")),
        (
            lambda s: s.with_files("r.txt", "/a/"),
            lambda s: s.with_files("r2.txt", "/a/"),
        ),
        (lambda s: s.with_wheel("d/a-*"), lambda s: s.with_wheel("d/*.whl")),
        (
            lambda s: s.with_packages("a", find_links=["d"]),
            lambda s: s.with_packages("a", find_links=["e"]),
        ),
    ],
)
def test_no_two_of_these_are_one(tmp_path: Path, one: Change, other: Change) -> None:
    """Confusions that tags of other tools are known to have."""
    project = "[project]\nname='p'\n[project.optional-dependencies]\ng=[]\n"
    make_tree(
        tmp_path,
        {
            "r.txt": "a\n-r i.txt\n",
            "r2.txt": "a\n-r i2.txt\n",
            "i.txt": "b\n",
            "i2.txt": "c\n",
            "p/pyproject.toml": project + "[dependency-groups]\ng=[]\n",
        },
    )
    make_wheel(tmp_path / "d", "a")
    make_wheel(tmp_path / "d", "b")
    make_wheel(tmp_path / "e", "a", value=2)
    assert digest(one(BASE), tmp_path) != digest(other(BASE), tmp_path)


def test_what_does_not_count(tmp_path: Path) -> None:
    """Not the name, the platforms, where a file was found, comments or env order."""
    make_tree(tmp_path, {"a/r.txt": "six # one\n", "b/q.txt": "# two\nsix\n"})
    one = BASE.with_requirements("a/r.txt").with_env(A="1", B="2")
    other = replace(BASE, name="ghcr.io/x/y").with_platforms("linux/arm64")
    other = other.with_requirements(tmp_path / "b/q.txt").with_env(B="2", A="1")
    assert digest(one, tmp_path) == digest(other, tmp_path)


def test_spellings_of_a_base_are_one(tmp_path: Path) -> None:
    """``debian:12`` is Docker Hub's, however it is written."""
    long = replace(BASE, base="docker.io/library/debian:12")
    assert digest(BASE, tmp_path) == digest(long, tmp_path)


def test_a_dockerfile_counts(tmp_path: Path) -> None:
    """Its text, its context's files and what its ignore file leaves."""
    spec = ImageSpec.from_dockerfile("Dockerfile", name="t", context="c")
    digests = set()
    for text, ignored, mode in (
        ("FROM x", "", ""),
        ("FROM y", "", ""),
        ("FROM x", "a", ""),
        ("FROM x", "", "!"),
    ):
        make_tree(tmp_path, {"Dockerfile": text, f"c/a{mode}": "1"})
        make_tree(tmp_path, {"Dockerfile.dockerignore": ignored})
        digests.add(digest(spec, tmp_path))
    assert len(digests) == 4


def test_the_digest_is_stable(tmp_path: Path) -> None:
    """A change of the layout must be meant: it makes every image new."""
    make_tree(tmp_path, {"a!": "x"})
    spec = (
        ImageSpec("t", base="debian:12", python="3.12")
        .with_apt("git")
        .with_packages("six", index_url="https://i.example/simple")
        .with_files("a", "/bin/")
    )
    assert take_snapshot(spec, tmp_path).tag == "aw-3ae0dd5585dd61f12ff1"
