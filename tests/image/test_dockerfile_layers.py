"""Dockerfiles of planned layers: one pinned RUN each, in the plan's order."""

import json
from dataclasses import replace
from pathlib import Path

from aweigh.image.dockerfile import render
from aweigh.image.files import take_snapshot
from aweigh.image.lock import Lock, LockedWheel
from aweigh.image.pins import pin_members
from aweigh.image.plan import PythonLayer
from aweigh.image.schedule import plan_build
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform, Reference
from tests.image.locks import MEGABYTE, make_lock, make_locked
from tests.image.trees import PROJECT, make_tree, make_wheel

BASE = "debian:12"
SPEC = ImageSpec("t", base=BASE)
TORCH = make_locked("torch", 180 * MEGABYTE)
INDEX = {"index_url": "https://i.example/simple"}


def planned(spec: ImageSpec, *wheels: LockedWheel) -> tuple[PythonLayer, ...]:
    """Plan these wheels for a spec."""
    return plan_build(spec, make_lock(wheels), base_layers=5)


def rendered(
    spec: ImageSpec,
    *wheels: LockedWheel,
    root: Path = Path("/nowhere"),
    lock: Lock | None = None,
) -> list[str]:
    """Return the lines of the Dockerfile."""
    text = render(
        spec,
        take_snapshot(spec, root),
        base=Reference.parse(BASE),
        installer="installer:1",
        platform=Platform.parse("linux/amd64"),
        labels={},
        layers=planned(spec, *wheels),
        lock=lock,
    )
    return text.splitlines()


def commands(lines: list[str]) -> list[list[str]]:
    """Return what the RUN lines execute."""
    runs = (line for line in lines if line.startswith("RUN "))
    return [json.loads(line[line.index("[") :]) for line in runs]


def test_a_layer_is_a_step() -> None:
    """Heavy first; each installs its file alone: no index, dependencies or building."""
    idna = make_locked("idna", step=1)
    spec = SPEC.with_env(A="1").with_packages("torch", "idna", **INDEX)  # type: ignore[arg-type]
    lock = make_lock([idna, replace(TORCH, step=1)])
    lines = rendered(spec, *lock.wheels, lock=lock)
    venv, heavy, light = commands(lines)
    assert venv[1] == "venv"
    members = list(pin_members(planned(spec, *lock.wheels), lock))
    for command, member, name in zip(
        (heavy, light), members, ("torch", "idna"), strict=False
    ):
        assert isinstance(member.source, bytes)
        assert f'name = "{name}"' in member.source.decode()
        assert command[-2:] == ["-r", f"/mnt/{member.path.removeprefix('layers/')}"]
        assert {"--no-deps", "--no-index", "--no-build"} <= {*command}
        (line,) = (one for one in lines if f"source={member.path}," in one)
        assert "type=cache,id=aweigh-uv-linux-amd64" in line
    assert "i.example" not in "".join(lines)
    assert lines[-2:] == [
        'COPY ["layers/pylock.toml", "/opt/venv/pylock.toml"]',
        'ENV A="1"',
    ]


def test_unchanged_layers_are_the_same_lines() -> None:
    """Adding a package, a step and a variable leaves the lines of the others."""
    before = rendered(SPEC.with_packages("torch"), TORCH)
    spec = SPEC.with_env(A="1").with_packages("six").with_packages("torch")
    wheels = (replace(TORCH, step=2), make_locked("six", step=1))
    after = rendered(spec, *wheels)
    assert after[: len(before)] == before
    assert len(commands(after)) == len(commands(before)) + 1


def test_local_files_are_mounted_beside_their_pin(tmp_path: Path) -> None:
    """A first-party wheel is read from its step's files, by its own name."""
    make_wheel(tmp_path, "acme")
    own = make_locked("acme", first_party=True)
    *_, line = rendered(SPEC.with_wheel("*.whl"), own, root=tmp_path)
    (pin,) = pin_members(planned(SPEC.with_wheel("*.whl"), own), None)
    place = f"/mnt/{pin.path.split('/')[1]}"
    assert (
        f"source=steps/0/wheels/{own.filename},target={place}/{own.filename} " in line
    )


def test_many_local_files_are_continued() -> None:
    """However many wheels a layer mounts, no line comes near the parser's limit."""
    spec = SPEC.with_packages("x").replace(optimize_layers=False)
    wheels = [make_locked(f"w{number}") for number in range(900)]
    wheels = [replace(one, url=f"steps/0/links/0/{one.filename}") for one in wheels]
    lines = rendered(spec, *wheels)
    assert max(map(len, lines)) < 10_000
    mounts = [line for line in lines if "source=steps/0/links/0/" in line]
    assert len(mounts) == len(wheels)
    assert all(line.endswith(" \\") for line in mounts[:-1])


def test_building_gets_the_options_of_its_step(tmp_path: Path) -> None:
    """Only what is built asks an index: its own step's, and its local links."""
    make_tree(tmp_path, {"links/six-1.0.tar.gz": "x", "r.txt": "toolz"})
    spec = SPEC.with_packages("six", find_links=["links"], **INDEX)  # type: ignore[arg-type]
    spec = spec.with_requirements("r.txt", index_url="https://r.example/simple")
    spec = spec.with_project("p").with_packages("idna")
    make_tree(tmp_path, {"p/pyproject.toml": PROJECT})
    six = make_locked("six", suffix=".tar.gz")
    local = replace(six, url=f"steps/0/links/0/{six.filename}")
    toolz = make_locked("toolz", step=1, suffix=".tar.gz")
    attrs = make_locked("attrs", step=2, suffix=".tar.gz")
    found = commands(
        rendered(spec, local, toolz, attrs, make_locked("idna", step=3), root=tmp_path)
    )
    texts = {" ".join(command) for command in found[1:]}
    assert len(texts) == 4
    (first,) = (text for text in texts if "i.example" in text)
    assert "--default-index https://i.example/simple --find-links ./links/0" in first
    (second,) = (text for text in texts if "r.example" in text)
    assert "i.example" not in second
    assert sum("--no-index" in text for text in texts) == 1


def test_the_user_is_asked_for_again_after_installing() -> None:
    """Packages are installed as root, also behind a barrier; commands are not."""
    spec = SPEC.with_user("1000").with_run("a").with_packages("torch").with_run("b")
    lines = rendered(spec, replace(TORCH, step=2))
    users = [line for line in lines if line.startswith(("USER", "RUN"))]
    assert [line.split()[0] + line.split()[-1][-5:] for line in users] == [
        "USER1000",
        'RUN"a"]',
        "USER0",
        'RUNenv"]',
        'RUNoml"]',
        "USER1000",
        'RUN"b"]',
    ]


def test_a_project_follows_its_dependencies(tmp_path: Path) -> None:
    """The project itself is built from its directory, after the planned layers."""
    make_tree(tmp_path, {"pyproject.toml": PROJECT, "acme.py": ""})
    spec = SPEC.with_project(".", install_project=True)
    _, deps, project = commands(rendered(spec, TORCH, root=tmp_path))
    assert deps[-1].endswith("/pylock.toml")
    assert project[-1] == "./project"


def test_what_the_base_holds_is_not_done_again() -> None:
    """The user of its steps, and its environment, are those of what follows."""
    spec = (
        SPEC.with_packages("torch")
        .with_user("worker")
        .with_run("make")
        .with_packages("idna")
    )
    text = render(
        spec,
        take_snapshot(spec, Path("/nowhere")),
        base=Reference.parse(BASE),
        installer="installer:1",
        platform=Platform.parse("linux/amd64"),
        labels={},
        layers=planned(spec, make_locked("idna", step=3)),
        done={0, 1},
    )
    lines = text.splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == [
        "FROM",
        "USER",
        "RUN",
        "USER",
        "RUN",
        "USER",
    ]
    assert [line for line in lines if line.startswith("USER")] == [
        "USER worker",
        "USER 0",
        "USER worker",
    ]
    make, install = commands(lines)
    assert make[-1] == "make"
    assert "install" in install
    assert "VIRTUAL_ENV" not in text
