"""Specs: values with a fluent interface that refuse nonsense when it is written."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.errors import AweighError, InvalidPlatformError, SpecError
from aweigh.image.spec import ImageSpec
from aweigh.image.steps import (
    AptStep,
    DockerfileStep,
    EnvStep,
    IndexOptions,
    PackagesStep,
    ProjectStep,
    ScriptStep,
    WheelStep,
)
from aweigh.oci import Platform

Change = Callable[[ImageSpec], ImageSpec]


def test_each_with_is_a_copy() -> None:
    """Adding a step leaves the spec it was added to alone."""
    first = ImageSpec("train", base="python:3.12-slim")
    second = first.with_apt("git", "libssl-dev=3.0.1-1").with_packages(" torch ")
    assert first.steps == ()
    assert second.steps == (
        AptStep(("git", "libssl-dev=3.0.1-1")),
        PackagesStep(("torch",)),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        second.name = "other"  # type: ignore[misc]


def test_all_steps_keep_what_they_were_given() -> None:
    """Every method leads to its own kind of step, in order."""
    spec = (
        ImageSpec("t")
        .with_packages("a", index_url="https://i.example/simple", pre=True)
        .with_requirements("r.txt", find_links=("links",))
        .with_lock("pylock.toml")
        .with_project(".", extras=("gpu",), groups=("dev",), install_project=True)
        .with_wheel("dist/*.whl")
        .with_files("config", "/app/config")
        .with_env(B="2", A="1")
        .with_workdir("/app")
        .with_user("1000:1000")
        .with_run("make data")
        .with_labels({"z": "1", "a": "2"})
        .with_entrypoint("python", "-m", "train")
    )
    names = [type(step).__name__.removesuffix("Step") for step in spec.steps]
    assert " ".join(names) == (
        "Packages Requirements Lock Project Wheel Files Env Workdir User Run Labels "
        "Entrypoint"
    )
    assert spec.steps[0] == PackagesStep(
        ("a",), IndexOptions(index_url="https://i.example/simple", pre=True)
    )
    assert spec.steps[3] == ProjectStep(".", ("gpu",), ("dev",), install_project=True)
    assert spec.steps[4] == WheelStep(("dist/*.whl",))
    assert spec.steps[6] == EnvStep((("A", "1"), ("B", "2")))


def test_a_variable_may_have_any_name() -> None:
    """Names of our own parameters are free for the user's variables."""
    assert ImageSpec("t").with_env(self="x").steps == (EnvStep((("self", "x"),)),)


def test_platforms_are_parsed_sorted_and_single() -> None:
    """Spelling and order of platforms make no difference."""
    spec = ImageSpec("t").with_platforms("linux/arm64", "linux/x86_64", "linux/amd64")
    assert spec.platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    with pytest.raises(InvalidPlatformError):
        spec.with_platforms("amd64")


@pytest.mark.parametrize("name", ["train", "acme/train", "ghcr.io/acme/train"])
def test_names(name: str) -> None:
    """A name is a repository, with or without a registry."""
    assert ImageSpec(name).replace(python="3.13").name == name


@pytest.mark.parametrize("name", ["", "Train!", "a:1", "a@sha256:" + "0" * 64, "a//b"])
def test_names_that_are_none(name: str) -> None:
    """Tags, digests and what the grammar forbids are refused."""
    with pytest.raises(SpecError) as caught:
        ImageSpec(name)
    assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.replace(base="a/UPPER"),
        lambda s: s.replace(base="a@sha256:12"),
        lambda s: s.replace(python="3"),
        lambda s: s.replace(python="3.12.1"),
        lambda s: s.with_apt(),
        lambda s: s.with_apt("--allow-downgrades"),
        lambda s: s.with_apt("Git"),
        lambda s: s.with_apt("git; reboot"),
        lambda s: s.with_packages(),
        lambda s: s.with_packages("--index-url=https://x.example"),
        lambda s: s.with_packages("a\n--pre"),
        lambda s: s.with_packages("x @ dist/x.whl"),
        lambda s: s.with_packages("x-1.0-py3-none-any.whl"),
        lambda s: s.with_packages("x @ file://h.example/tmp/x.whl"),
        lambda s: s.with_packages("x @ file:///tmp/x#subdirectory=y"),
        lambda s: s.with_packages("git+https://h.example/x"),
        lambda s: s.with_packages("a", index_url="file:///x"),
        lambda s: s.with_packages("a", index_url="pypi"),
        lambda s: s.with_packages("a", extra_index_urls="https://x.example"),
        lambda s: s.with_packages("a", find_links=("ftp://x.example",)),
        lambda s: s.with_packages("a", find_links=("",)),
        lambda s: s.with_requirements(""),
        lambda s: s.with_requirements("a\0b"),
        lambda s: s.with_lock(""),
        lambda s: s.with_project(""),
        lambda s: s.with_project(".", extras=("--all-extras",)),
        lambda s: s.with_project(".", groups="dev"),
        lambda s: s.with_wheel(),
        lambda s: s.with_files("", "/x"),
        lambda s: s.with_files("x", "app"),
        lambda s: s.with_files("x", "/app/../etc"),
        lambda s: s.with_env(),
        lambda s: s.with_env(**{"A-B": "x"}),
        lambda s: s.with_env(A="x\ny"),
        lambda s: s.with_env(A="x\0y"),
        lambda s: s.with_env(A="\ud800"),
        lambda s: s.with_env(A=1),
        lambda s: s.with_workdir("app"),
        lambda s: s.with_user(""),
        lambda s: s.with_user("root; id"),
        lambda s: s.with_run(),
        lambda s: s.with_run("  "),
        lambda s: s.with_run("a\0b"),
        lambda s: s.with_run("x" * 10_001),
        lambda s: s.with_run("--mount=type=secret,id=x make"),
        lambda s: s.with_labels({" ": "x"}),
        lambda s: s.with_labels({"a": "x\ny"}),
        lambda s: s.with_entrypoint(),
        lambda s: s.with_entrypoint("a\0"),
    ],
)
def test_nonsense_is_refused_at_once(change: Change) -> None:
    """What cannot be built is an error where it is written, with a hint."""
    with pytest.raises(SpecError) as caught:
        change(ImageSpec("t"))
    assert caught.value.hint


@pytest.mark.parametrize(
    "requirement",
    [
        "six",
        "pandas[sql,aws]>=2,<3; python_version < '3.13'",
        "x @ https://h.example/x@1.0.whl",
        "x @ git+ssh://git@h.example/x.git@v1",
        "x (>=1)",
        "foo~=1.0",
    ],
)
def test_requirements(requirement: str) -> None:
    """The usual forms of a dependency specifier are accepted as they are."""
    step = ImageSpec("t").with_packages(requirement).steps[0]
    assert step == PackagesStep((requirement,))


CANARY = "hunter2canary"


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.with_packages("a", index_url=f"https://u:{CANARY}@h.example/s"),
        lambda s: s.with_packages("a", index_url=f"https://{CANARY}@h.example/s"),
        lambda s: s.with_packages(
            "a", extra_index_urls=[f"https://u:{CANARY}@h.example/s"]
        ),
        lambda s: s.with_packages("a", find_links=[f"https://u:{CANARY}@h.example/s"]),
        lambda s: s.with_packages("a", index_url=f"https://u:'{CANARY}@h.example/s"),
        lambda s: s.with_packages(f"x @ git+https://{CANARY}@h.example/x"),
        lambda s: s.with_packages(f"x @ git+ssh://u:{CANARY}@h.example/x"),
    ],
)
def test_credentials_are_refused_and_not_shown(change: Change) -> None:
    """A URL with userinfo is an error that does not repeat the secret."""
    with pytest.raises(SpecError, match="carries credentials") as caught:
        change(ImageSpec("t"))
    assert CANARY not in "".join([str(caught.value), *caught.value.__notes__])
    assert "netrc" in caught.value.hint


def test_run_takes_no_secrets_and_says_so() -> None:
    """Asking for a secret is answered in words, not by a TypeError."""
    with pytest.raises(SpecError, match="secrets") as caught:
        ImageSpec("t").with_run("make", secrets=["token"])
    assert "not supported" in caught.value.hint


def test_a_dockerfile_stands_alone() -> None:
    """A Dockerfile spec takes no steps, no base and no Python, but platforms."""
    spec = ImageSpec.from_dockerfile("docker/Dockerfile", name="t", context="docker")
    assert spec.dockerfile == DockerfileStep("docker/Dockerfile", "docker")
    assert spec.base_reference() is None
    assert spec.python_version() == ""
    assert spec.with_platforms("linux/arm64").platforms
    changes: list[Change] = [
        lambda s: s.with_packages("a"),
        lambda s: s.with_env(A="1"),
        lambda s: s.replace(base="debian"),
        lambda s: s.replace(python="3.12"),
    ]
    for change in changes:
        with pytest.raises(SpecError, match="takes nothing else"):
            change(spec)


def test_the_default_base_follows_python() -> None:
    """Given, else demanded, else running: in this order."""
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    spec = ImageSpec("t")
    assert str(spec.base_reference()) == f"docker.io/library/python:{running}-slim"
    assert spec.python_version([">=3.12"]) == "3.12"
    assert spec.replace(python="3.13").python_version([">=3.12"]) == "3.13"


def test_a_named_base_has_its_own_python() -> None:
    """The running interpreter says nothing about a base that was chosen."""
    spec = ImageSpec("t", base="debian:12")
    assert spec.python_version([">=3.12"]) == ""
    assert str(spec.base_reference([">=3.12"])) == "docker.io/library/debian:12"


def test_from_script_does_not_read() -> None:
    """A script that is not there yet can be described."""
    spec = ImageSpec.from_script("no/such.py", name="t", base="debian:12")
    assert spec == ImageSpec("t", base="debian:12", steps=(ScriptStep("no/such.py"),))


def test_errors_are_value_errors() -> None:
    """Callers who know nothing of us catch what they expect."""
    with pytest.raises(ValueError, match="empty") as caught:
        ImageSpec("")
    assert isinstance(caught.value, AweighError)


def test_a_table_without_a_name_says_what_to_add(tmp_path: Path) -> None:
    """Neither the table nor the project is named: the error says where to write it."""
    file = tmp_path / "pyproject.toml"
    file.write_text('[tool.aweigh.image]\nbase = "b:1"\n')
    with pytest.raises(
        SpecError, match="does not say what the image is called"
    ) as info:
        ImageSpec.from_toml(file)
    assert "[project]" in info.value.hint
