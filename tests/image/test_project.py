"""Projects, locks and scripts: what is read of them, and what is refused."""

import tomllib
from pathlib import Path

import pytest

from aweigh.errors import SpecError
from aweigh.image.files import take_snapshot
from aweigh.image.snapshot import Snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest
from tests.image.trees import PROJECT, make_tree, make_wheel

SPEC = ImageSpec("t")
LOCK = """
version = 1
[[package]]
name = "acme"
source = { virtual = "." }
dependencies = [{ name = "six" }, { name = "near" }]
[package.optional-dependencies]
gpu-extra = [{ name = "gpu-local" }]
[package.dev-dependencies]
dev = [{ name = "dev-local" }]
[[package]]
name = "six"
source = { registry = "https://index.test/simple" }
[[package]]
name = "near"
source = { editable = "../near" }
dependencies = [{ name = "nearer" }, { name = "acme" }]
[[package]]
name = "nearer"
source = { directory = "../nearer" }
[[package]]
name = "gpu-local"
source = { path = "x.whl" }
[[package]]
name = "dev-local"
source = { virtual = "../dev" }
[[package]]
name = "unused-member"
source = { editable = "packages/unused" }
"""


def taken(spec: ImageSpec, root: Path) -> tuple[Snapshot, list[str]]:
    """Take a snapshot; return it and the paths of its context."""
    snapshot = take_snapshot(spec, root)
    return snapshot, [member.path for member in snapshot.members]


def test_a_project_without_a_lock(tmp_path: Path) -> None:
    """The pyproject.toml travels, by directory or by name; it chooses the Python."""
    make_tree(tmp_path, {"p/pyproject.toml": PROJECT, "p/src/x.py": ""})
    spec = SPEC.with_project("p", extras=["gpu-extra"], groups=["dev"])
    snapshot, paths = taken(spec, tmp_path)
    assert paths == ["steps/0/pyproject.toml"]
    assert snapshot.python == "3.11"
    by_name, _ = taken(
        SPEC.with_project("p/pyproject.toml", extras=["gpu-extra"], groups=["dev"]),
        tmp_path,
    )
    assert by_name.digest == snapshot.digest


def test_installing_takes_the_tree(tmp_path: Path) -> None:
    """With install_project the project's files travel too."""
    make_tree(tmp_path, {"p/pyproject.toml": PROJECT, "p/src/x.py": ""})
    _, paths = taken(SPEC.with_project("p", install_project=True), tmp_path)
    assert "steps/0/project/src/x.py" in paths


def test_local_projects_of_a_lock_come_along(tmp_path: Path) -> None:
    """What the lock takes from disk travels, unless a wheel step brings it."""
    root = tmp_path / "root"
    make_tree(root, {"pyproject.toml": PROJECT, "uv.lock": LOCK})
    with pytest.raises(SpecError, match="near"):
        taken(SPEC.with_project("."), root)
    make_tree(tmp_path, {"near/pyproject.toml": "", "nearer/setup.py": ""})
    before, paths = taken(SPEC.with_project("."), root)
    assert paths == [
        "steps/0/pyproject.toml",
        "steps/0/uv.lock",
        "steps/0/local/0/tree",
        "steps/0/local/0/tree/pyproject.toml",
        "steps/0/local/1/tree",
        "steps/0/local/1/tree/setup.py",
    ]
    make_tree(tmp_path, {"nearer/setup.py": "# changed"})
    assert taken(SPEC.with_project("."), root)[0].digest != before.digest
    make_tree(root, {"x.whl": "wheel"})
    spec = SPEC.with_project(".", extras=["gpu-extra"], groups=["dev"])
    assert "steps/0/local/0/x.whl" in taken(spec, root)[1]
    make_wheel(root / "dist", "near")
    make_wheel(root / "dist", "nearer")
    _, paths = taken(SPEC.with_project(".").with_wheel("dist/*"), root)
    assert paths[:2] == ["steps/0/pyproject.toml", "steps/0/uv.lock"]
    assert not [path for path in paths if "local" in path]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("][", "TOML"),
        (PROJECT + "[tool.uv.sources]\nnear = { path = '../near' }", "local near"),
        (PROJECT + "[tool.uv.sources]\nnear = [{ workspace = true }]", "local near"),
        ("[project]\nname = 'a'\ndynamic = ['dependencies']", "when it is built"),
        (PROJECT + "[[tool.uv.index]]\nurl = 'https://u:pw@h.example/'", "credentials"),
        (PROJECT.replace(">=3.11", "nonsense"), "malformed"),
    ],
)
def test_projects_that_cannot_be_used(tmp_path: Path, text: str, told: str) -> None:
    """The error names what stands in the way."""
    make_tree(tmp_path, {"pyproject.toml": text})
    with pytest.raises(SpecError, match=told) as caught:
        taken(SPEC.with_project("."), tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize("choice", [{"extras": ["cpu"]}, {"groups": ["docs"]}])
def test_unknown_extras_and_groups(
    tmp_path: Path, choice: dict[str, list[str]]
) -> None:
    """A name that the project lacks is an error that lists what it has."""
    make_tree(tmp_path, {"pyproject.toml": PROJECT})
    with pytest.raises(SpecError, match="has no") as caught:
        taken(
            SPEC.with_project(
                ".", extras=choice.get("extras", ()), groups=choice.get("groups", ())
            ),
            tmp_path,
        )
    assert "Gpu_Extra" in caught.value.hint or "dev" in caught.value.hint


def test_a_project_without_tables(tmp_path: Path) -> None:
    """A pyproject.toml may lack everything, even have the wrong types."""
    make_tree(tmp_path, {"pyproject.toml": "project = 1\ntool = 2\n"})
    snapshot, _ = taken(SPEC.with_project("."), tmp_path)
    assert snapshot.base == SPEC.base_reference()


PYLOCK = 'lock-version = "1.0"\ncreated-by = "t"\n[[packages]]\nname = "a"\n'


def test_a_pylock(tmp_path: Path) -> None:
    """A lock travels under the one name installers accept."""
    make_tree(tmp_path, {"pylock.gpu.toml": PYLOCK})
    assert taken(SPEC.with_lock("pylock.gpu.toml"), tmp_path)[1] == [
        "steps/0/pylock.toml"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", LOCK),
        ("pylock.toml", PYLOCK + 'directory = { path = "." }'),
        ("pylock.toml", PYLOCK + 'archive = { path = "a.zip" }'),
        ("pylock.toml", PYLOCK + 'wheels = [{ name = "a.whl", path = "a.whl" }]'),
        ("pylock.toml", PYLOCK + 'vcs = { type = "git", path = "." }'),
        ("pylock.toml", 'packages = [{ name = "a", directory = { path = "p" } }]'),
        (
            "pylock.toml",
            PYLOCK
            + f'archive = {{ path = "b.zip", hashes = {{ sha256 = "{"0" * 64}" }} }}',
        ),
    ],
)
def test_locks_that_cannot_be_used(tmp_path: Path, name: str, text: str) -> None:
    """Other locks, and local files that are not what was locked, are refused."""
    make_tree(tmp_path, {name: text, "b.zip": "", "p/setup.py": ""})
    with pytest.raises(SpecError) as caught:
        taken(SPEC.with_lock(name), tmp_path)
    assert caught.value.hint


def test_a_pylock_of_local_projects(tmp_path: Path) -> None:
    """They travel with the lock, which then names their places in the context."""
    wheel = Digest.of(b"wheel").hex
    text = (
        PYLOCK
        + 'directory = { path = "../p", subdirectory = "q", editable = true }\n'
        + '[[packages]]\nname = "far"\nversion = "2"\n'
        + 'sdist = { url = "https://h.example/far-2.zip", hashes = {} }\n'
        + '[[packages]]\nname = "b"\nmarker = "os_name == \'nt\'"\n'
        + '[packages.sdist]\npath = "b-1.zip"\nhashes = {}\n'
        + '[[packages]]\nname = "c"\nwheels = [{ path = "c.whl", '
        + f'hashes = {{ sha256 = "{wheel}" }} }}]\n'
    )
    files = {"lock/pylock.toml": text, "p/q/setup.py": "", "lock/b-1.zip": ""}
    make_tree(tmp_path, {**files, "lock/c.whl": "wheel"})

    snapshot, paths = taken(SPEC.with_lock("lock/pylock.toml"), tmp_path)

    assert paths == [
        "steps/0/pylock.toml",
        "steps/0/local/0/tree",
        "steps/0/local/0/tree/setup.py",
        "steps/0/local/1/b-1.zip",
        "steps/0/local/2/c.whl",
    ]
    content = snapshot.members[0].source
    assert isinstance(content, bytes)
    local, far, archive, wheels = tomllib.loads(content.decode())["packages"]
    assert local == {"name": "a", "directory": {"path": "./local/0/tree"}}
    assert far["sdist"]["url"] == "https://h.example/far-2.zip"
    assert archive["marker"] == "os_name == 'nt'"
    assert archive["sdist"]["path"] == "./local/1/b-1.zip"
    assert wheels["wheels"] == [
        {"path": "./local/2/c.whl", "hashes": {"sha256": wheel}}
    ]


@pytest.mark.parametrize(
    "block",
    [
        "print(1)\n",
        "# /// script\n# dependencies = []\n# ///\n\n" * 2,
        "# /// script\n# ][\n# ///\n",
        '# /// script\n# dependencies = "six"\n# ///\n',
        '# /// script\n# dependencies = ["./x.whl"]\n# ///\n',
        "# /// script\n# dependencies = [1]\n# ///\n",
        "# /// script\n# [tool.uv.sources]\n# x = { path = '../x' }\n# ///\n",
        "# /// other\n# x = 1\n# ///\n",
    ],
)
def test_scripts_that_cannot_be_used(tmp_path: Path, block: str) -> None:
    """No block, two blocks, or one that the image could not satisfy."""
    make_tree(tmp_path, {"s.py": block})
    with pytest.raises(SpecError) as caught:
        taken(ImageSpec.from_script("s.py", name="t"), tmp_path)
    assert caught.value.hint
