"""Generated Dockerfiles: deterministic, quoted, and doing what they say."""

import json
from pathlib import Path

import pytest

from aweigh.errors import SpecError
from aweigh.image.dockerfile import render
from aweigh.image.files import take_snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform, Reference
from tests.image.trees import PROJECT, make_tree, make_wheel

BASE = "debian:12"
SPEC = ImageSpec("t", base=BASE)


def rendered(
    spec: ImageSpec, root: Path = Path("/nowhere"), platform: str = "linux/amd64"
) -> list[str]:
    """Return the lines of the Dockerfile."""
    text = render(
        spec,
        take_snapshot(spec, root),
        base=Reference.parse(BASE),
        installer="installer:1",
        platform=Platform.parse(platform),
        labels={"aweigh.z": "1"},
    )
    return text.splitlines()


def commands(lines: list[str]) -> list[list[str]]:
    """Return what the RUN lines execute."""
    runs = (line for line in lines if line.startswith("RUN "))
    return [json.loads(line[line.index("[") :]) for line in runs]


def test_the_least() -> None:
    """A spec without steps is its base and the labels; no frontend is fetched."""
    assert rendered(SPEC) == [
        "FROM docker.io/library/debian:12",
        'LABEL "aweigh.z"="1"',
    ]


def test_equal_specs_give_equal_text(tmp_path: Path) -> None:
    """Nothing of the machine or the moment is in the text."""
    texts = []
    for root in (tmp_path / "a", tmp_path / "b"):
        make_wheel(root / "dist", "one")
        make_tree(root, {"pyproject.toml": PROJECT, "r.txt": "six"})
        spec = SPEC.with_wheel("dist/*").with_project(".").with_requirements("r.txt")
        texts.append(rendered(spec.with_files("r.txt", "/r.txt"), root))
    assert texts[0] == texts[1]
    assert str(tmp_path) not in "".join(texts[0])


def test_apt() -> None:
    """Packages come through cache mounts of the platform, without recommendations."""
    (line,) = (
        one for one in rendered(SPEC.with_apt("git", "g++=4:12")) if "apt" in one
    )
    assert "id=aweigh-apt-lists-linux-amd64,target=/var/lib/apt/lists" in line
    ((shell, flag, script),) = commands([line])
    assert (shell, flag) == ("/bin/sh", "-c")
    assert script.endswith("install --no-install-recommends -- git g++=4:12")


def test_python_steps_share_one_environment() -> None:
    """The first Python step makes the venv; options go to their own step only."""
    spec = SPEC.replace(python="3.12").with_packages(
        "torch",
        "six>=1",
        index_url="https://i.example/simple",
        extra_index_urls=["https://e.example/simple"],
        find_links=["https://l.example/"],
        pre=True,
    )
    lines = rendered(spec.with_packages("idna"))
    venv, first, second = commands(lines)
    assert venv[1] == "venv"
    assert venv[-3:] == ["--python", "3.12", "/opt/venv"]
    assert 'ENV VIRTUAL_ENV=/opt/venv PATH="/opt/venv/bin:$PATH"' in lines
    joined = " ".join(first)
    assert "--default-index https://i.example/simple" in joined
    assert "--index https://e.example/simple --find-links https://l.example/" in joined
    assert joined.endswith("--prerelease allow -- torch six>=1")
    assert second[-2:] == ["--", "idna"]
    assert "example" not in " ".join(second)
    assert all("from=installer:1,source=/uv" in one for one in lines if "uv" in one[:4])


def test_locked_and_unlocked_projects(tmp_path: Path) -> None:
    """A lock is synchronised exactly; without one the table is resolved."""
    lock = 'version = 1\n[[package]]\nname = "acme"\nsource = { virtual = "." }\n'
    make_tree(
        tmp_path,
        {
            "a/pyproject.toml": PROJECT,
            "b/pyproject.toml": PROJECT,
            "b/uv.lock": lock,
            "pylock.toml": "",
            "s.py": "# /// script\n# dependencies = []\n# ///\n",
        },
    )
    choice = {"extras": ["gpu-extra"], "groups": ["dev"]}
    spec = SPEC.with_project("a", **choice).with_project("b", **choice)  # type: ignore[arg-type]
    script = ImageSpec.from_script("s.py", name="t").steps
    spec = spec.replace(steps=(*spec.steps, *script)).with_lock("pylock.toml")
    _, table, locked, block, pylock = map(" ".join, commands(rendered(spec, tmp_path)))
    assert table.endswith(
        "-r pyproject.toml --extra gpu-extra --group pyproject.toml:dev"
    )
    assert " sync " in locked
    assert locked.endswith("--no-install-local --extra gpu-extra --group dev")
    assert block.endswith("-r script.py")
    assert pylock.endswith("-r pylock.toml")


def test_first_party_code_comes_last(tmp_path: Path) -> None:
    """Wheels and projects follow the other Python steps, but not across a run step."""
    make_tree(tmp_path, {"pyproject.toml": PROJECT})
    make_wheel(tmp_path / "dist", "one")
    spec = (
        SPEC.with_wheel("dist/*")
        .with_project(".", install_project=True)
        .with_env(A="1")
        .with_packages("six")
        .with_workdir("/w")
        .with_run("true")
        .with_packages("idna")
    )
    lines = rendered(spec, tmp_path)
    last = [" ".join(one).split()[-1] for one in commands(lines)]
    assert last == [
        "/opt/venv",
        "pyproject.toml",
        "six",
        "./wheels/one-1.0-py3-none-any.whl",
        "./project",
        "true",
        "idna",
    ]
    assert lines.index('ENV A="1"') < lines.index('WORKDIR "/w"')


def test_other_content_has_another_place(tmp_path: Path) -> None:
    """A rebuilt wheel of the same name is no hit in uv's cache."""
    spec = SPEC.with_wheel("*.whl")
    make_wheel(tmp_path, "one", value=1)
    first = rendered(spec, tmp_path)
    make_wheel(tmp_path, "one", value=2)
    assert rendered(spec, tmp_path) != first


def test_wheels_of_the_platform_only(tmp_path: Path) -> None:
    """Each platform takes its own wheel; one without any is an error."""
    name = "one-1.0-cp312-cp312-manylinux_2_28_{}.whl"
    make_tree(tmp_path, {name.format("x86_64"): "a", name.format("aarch64"): "b"})
    spec = SPEC.with_wheel("*.whl")
    assert commands(rendered(spec, tmp_path, "linux/arm64"))[-1][-1].endswith(
        "aarch64.whl"
    )
    with pytest.raises(SpecError, match="linux/s390x"):
        rendered(spec, tmp_path, "linux/s390x")


def test_installing_needs_root_running_does_not() -> None:
    """Installs are root's whoever the user is by then; run steps are the user's."""
    spec = SPEC.with_user("1000").with_run("a").with_packages("six").with_apt("git")
    lines = rendered(spec.with_run("b").with_user("2000:2000"))
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 1000", "USER 0", "USER 1000", "USER 2000:2000"]


def test_labels_and_entrypoint_are_last() -> None:
    """What belongs to no layer comes after all layers; the last one wins."""
    spec = SPEC.with_entrypoint("a").with_labels({"x": "1"}).with_entrypoint("b", "c")
    assert rendered(spec.with_labels({"x": "2"}).with_env(A="1"))[1:] == [
        'ENV A="1"',
        'ENTRYPOINT ["b", "c"]',
        'LABEL "aweigh.z"="1"',
        'LABEL "x"="2"',
    ]


def test_a_label_cannot_end_its_line(tmp_path: Path) -> None:
    """The builder's labels are held to the rules of the spec's."""
    snapshot = take_snapshot(SPEC, tmp_path)
    with pytest.raises(SpecError, match="line break"):
        render(
            SPEC,
            snapshot,
            base=BASE,
            installer="i",
            platform=Platform.host(),
            labels={"a": "x\nRUN reboot"},
        )


def test_long_lines_are_continued() -> None:
    """The parser's limit of 64 KiB for a line is not reached by many packages."""
    names = [f"package-with-a-long-name-{number}" for number in range(3000)]
    text = "\n".join(rendered(SPEC.with_packages(*names)))
    assert max(map(len, text.splitlines())) < 10_000
    assert names[-1] in text


def test_a_dockerfile_is_its_own_text(tmp_path: Path) -> None:
    """Nothing is added to what the user wrote."""
    make_tree(tmp_path, {"Dockerfile": "FROM x\nRUN true\n"})
    spec = ImageSpec.from_dockerfile("Dockerfile", name="t")
    assert rendered(spec, tmp_path) == ["FROM x", "RUN true"]


def test_local_projects_are_built_where_they_run(tmp_path: Path) -> None:
    """Steps name them by their places in the context; a backend may write there."""
    lock = (
        'version = 1\n[[package]]\nname = "acme"\nsource = { virtual = "." }\n'
        'dependencies = [{ name = "near" }]\n'
        '[[package]]\nname = "near"\nsource = { editable = "../near" }\n'
    )
    make_tree(
        tmp_path,
        {
            "app/pyproject.toml": PROJECT,
            "app/uv.lock": lock,
            "near/pyproject.toml": "",
            "own-1.zip": "",
            "r.txt": "-e ./near[x]",
        },
    )
    spec = (
        SPEC.with_packages("./near[x]", "six", "./own-1.zip")
        .with_requirements("r.txt")
        .with_project("app")
    )
    lines = rendered(spec, tmp_path)
    _, packages, requirements, sync, local = map(" ".join, commands(lines))
    assert packages.endswith("-- ./local/0/tree[x] six ./local/1/own-1.zip")
    assert requirements.endswith("-r requirements.txt")
    assert " sync " in sync
    assert local.endswith("--no-deps ./local/0/tree")
    assert sum(",rw" in line for line in lines) == 4
