"""Requirements files: flattened, their includes beside them."""

from pathlib import Path

import pytest

from aweigh.errors import SpecError
from aweigh.image.files import take_snapshot
from aweigh.image.requirements import read_requirements
from aweigh.image.sources import Sources
from aweigh.image.spec import ImageSpec
from tests.image.trees import make_tree


def flattened(root: Path, path: str = "requirements.txt") -> dict[str, str]:
    """Read a file and return what the context holds."""
    sources = Sources(root, step="requirements step 0", prefix="steps/0")
    return {
        member.path.removeprefix("steps/0/"): bytes(member.source).decode()  # type: ignore[arg-type]
        for member in read_requirements(path, sources)
    }


def test_includes_from_anywhere(tmp_path: Path) -> None:
    """Includes are relative to their file, may leave the root, and are read once."""
    make_tree(
        tmp_path,
        {
            "root/req/requirements.txt": "-r sub/a.txt\n--constraint ../../out/c.txt",
            "root/req/sub/a.txt": "--requirement=b.txt\n-c ../../../out/c.txt\n",
            "root/req/sub/b.txt": "-rc.txt\n",
            "root/req/sub/c.txt": "idna\n",
            "out/c.txt": "idna<9\n",
        },
    )
    assert flattened(tmp_path / "root", "req/requirements.txt") == {
        "requirements.txt": "-r include-1.txt\n--constraint include-4.txt\n",
        "include-1.txt": "--requirement include-2.txt\n-c include-4.txt\n",
        "include-2.txt": "-r include-3.txt\n",
        "include-3.txt": "idna\n",
        "include-4.txt": "idna<9\n",
    }


def test_lines_are_kept_comments_are_not(tmp_path: Path) -> None:
    """Options and hashes stay; comments and continuations are taken out."""
    text = (
        "\ufeff# c\n--index-url https://i.example/simple  # c\n\n"
        "six==1.17.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "x @ https://h.example/x.whl#sha256=aa\nhttps://h.example/y.whl\n"
        "-f https://l.example/\n--pre\nz[a]>1 ; python_version > '3'\r\n"
    )
    make_tree(tmp_path, {"requirements.txt": text})
    assert flattened(tmp_path)["requirements.txt"].splitlines() == [
        "--index-url https://i.example/simple",
        "six==1.17.0     --hash=sha256:aa     --hash=sha256:bb",
        "x @ https://h.example/x.whl#sha256=aa",
        "https://h.example/y.whl",
        "-f https://l.example/",
        "--pre",
        "z[a]>1 ; python_version > '3'",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "-e sub",
        "--editable ./x",
        "./dist/x.whl",
        "./mine --hash=sha256:00",
        "x.whl",
        "x @ file:///x",
        "-f ./links",
        "-r https://h.example/r.txt",
        "-r gone.txt",
        "-r requirements.txt",
        "-r sub/circle.txt",
        "https://user:hunter2@h.example/x.whl",
        "--extra-index-url=https://hunter2@h.example/",
        "# https://u:hunter2@h.example/",
    ],
)
def test_what_the_image_could_not_have(tmp_path: Path, line: str) -> None:
    """Local things, circles and credentials are refused; secrets are not shown."""
    make_tree(
        tmp_path,
        {
            "requirements.txt": f"six\n{line}\n",
            "sub/circle.txt": "-r ../requirements.txt",
        },
    )
    with pytest.raises(SpecError, match="requirements step 0") as caught:
        flattened(tmp_path)
    assert caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_local_projects_come_along(tmp_path: Path) -> None:
    """Each once, editable or not, by paths that start at the root."""
    make_tree(
        tmp_path,
        {
            "sub/requirements.txt": "-e ./mine[b,a] ; os_name == 'posix'\nsix\n"
            "--editable=file:./mine\nmine @ ./own-1.zip\n-r more.txt\n",
            "sub/more.txt": "-e./mine  # again\n",
            "mine/setup.py": "",
            "own-1.zip": "",
        },
    )
    spec = ImageSpec("t").with_requirements("sub/requirements.txt")
    members = take_snapshot(spec, tmp_path).members
    texts = [one.source.decode() for one in members if isinstance(one.source, bytes)]
    assert texts[0].splitlines() == [
        "./local/0/tree[a,b] ; os_name == 'posix'",
        "six",
        "./local/0/tree",
        "./local/1/own-1.zip",
        "-r include-1.txt",
    ]
    assert texts[1] == "./local/0/tree\n"
    assert [one.path for one in members[2:]] == [
        "steps/0/local/0/tree",
        "steps/0/local/0/tree/setup.py",
        "steps/0/local/1/own-1.zip",
    ]
