"""Layers of a plan: a table for people, one stable object for programs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.cli.layers import platform_json, print_platform
from aweigh.cli.table import table
from aweigh.flow.explain import ImagePlan
from aweigh.image.preview import (
    PlannedLayer,
    PlannedPackage,
    PlatformPlan,
    Reuse,
    decimal_size,
    totals,
)
from aweigh.oci import Digest, Platform, Reference
from tests.cli.conftest import Run
from tests.services import Services

TORCH = PlannedPackage(name="torch", version="2.9.1", size=191_000_000)
IDNA = PlannedPackage(name="idna", version="3.10", size=70_000)
BASE = PlannedLayer(
    name="base 0123456789ab",
    kind="base",
    why="python@sha256:00",
    size=30_000_000,
    exact=True,
    reuse=Reuse(place="copy", source="docker.io/library/python", known_by="base"),
)
HEAVY = PlannedLayer(
    name="torch",
    kind="heavy",
    why="torch is 191 MB: a layer of its own",
    packages=(TORCH,),
    size=190_000_000,
    exact=True,
    reuse=Reuse(place="mount", source="ghcr.io/acme/other", known_by="memory"),
)
LIGHT = PlannedLayer(
    name="light-3",
    kind="light",
    why="below 150 kB, group 3 by name: idna",
    packages=(IDNA,),
    size=70_000,
)
STEP = PlannedLayer(name="step-1", kind="engine", why="engine: with_apt('git')")
LAYERS = (BASE, HEAVY, LIGHT)
PLAN = PlatformPlan(
    platform=Platform.parse("linux/amd64"),
    exists=False,
    builder="assemble",
    layers=LAYERS,
    note="a note",
    totals=totals(LAYERS),
    in_base=(IDNA,),
)
IMAGE = ImagePlan(
    reference=Reference.parse("ghcr.io/acme/train:aw-1"),
    spec_digest=Digest.of(b"spec"),
    platforms=frozenset({PLAN.platform}),
    base=Reference.parse("python:3.12-slim"),
    steps=("packages torch idna",),
    tier="build",
    reason="it is not there",
    plans=(PLAN,),
)


def printed(plan: PlatformPlan, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a plan looks like where there is no terminal."""
    print_platform(plan, IMAGE)
    return capsys.readouterr().out


def test_the_json_form_is_a_contract() -> None:
    """Every field by name; what is not known is null."""
    assert platform_json(PLAN) == {
        "platform": "linux/amd64",
        "exists": False,
        "builder": "assemble",
        "layers": [
            {
                "name": "base 0123456789ab",
                "kind": "base",
                "why": "python@sha256:00",
                "packages": [],
                "size": 30_000_000,
                "exact": True,
                "reuse": {
                    "place": "copy",
                    "source": "docker.io/library/python",
                    "known_by": "base",
                },
            },
            {
                "name": "torch",
                "kind": "heavy",
                "why": "torch is 191 MB: a layer of its own",
                "packages": [
                    {"name": "torch", "version": "2.9.1", "size": 191_000_000}
                ],
                "size": 190_000_000,
                "exact": True,
                "reuse": {
                    "place": "mount",
                    "source": "ghcr.io/acme/other",
                    "known_by": "memory",
                },
            },
            {
                "name": "light-3",
                "kind": "light",
                "why": "below 150 kB, group 3 by name: idna",
                "packages": [{"name": "idna", "version": "3.10", "size": 70_000}],
                "size": 70_000,
                "exact": False,
                "reuse": None,
            },
        ],
        "totals": {
            "download": 30_070_000,
            "push": 30_070_000,
            "reused": 190_000_000,
            "base_present": 0,
            "base_mounted": 0,
            "base_copied": 1,
        },
        "in_base": [{"name": "idna", "version": "3.10", "size": 70_000}],
        "base": {"was": None, "is": None, "moved": None},
        "note": "a note",
        "failure": None,
        "hint": None,
    }


def test_people_see_a_row_for_each_layer(capsys: pytest.CaptureFixture[str]) -> None:
    """Piped, each layer is one line, however long."""
    assert printed(PLAN, capsys).splitlines() == [
        "",
        "linux/amd64: 3 layers, 1 to be made",
        "  layer     size    from        why",
        "  base (1)  30 MB   copied      docker.io/library/python:3.12-slim",
        (
            "  torch     190 MB  mounted     torch is 191 MB: a layer of its own "
            "(in ghcr.io/acme/other)"
        ),
        "  light-3   ~70 kB  to be made  below 150 kB, group 3 by name: idna",
        "  note: a note",
        "  to push: about 30 MB by the size of the wheels; bytecode comes on top",
        "  to download: at most 30 MB",
        "  reused: 190 MB",
        "  in the base already: idna 3.10",
    ]


def test_engine_steps_existing_images_and_failures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each kind of plan has its own first line, and says what to do."""
    there = Reuse(place="repository", source="ghcr.io/acme/train", known_by="memory")
    engine = replace(PLAN, builder="engine", layers=(STEP,), totals=None)
    assert "an engine would carry out 1 step\n" in printed(engine, capsys)
    one, two = Digest.of(b"1"), Digest.of(b"2")
    rows = (
        replace(BASE, reuse=there),
        replace(BASE, name="base 2"),
        replace(LIGHT, reuse=there),
    )
    old = replace(PLAN, exists=True, layers=rows, base_was=one, base_is=two)
    said = printed(old, capsys)
    assert "the image has 3 layers" in said
    assert "base (2)  60 MB   1 there (remembered), 1 copied" in said
    assert f"its tag has moved since the image was built from {one.hex[:12]}" in said
    assert "--rebuild" in said
    kept = printed(replace(old, base_is=one), capsys)
    assert "its tag still means" in kept
    failed = PlatformPlan(
        platform=PLAN.platform, exists=False, failure="no wheel", hint="wait"
    )
    assert printed(failed, capsys).splitlines()[1:] == [
        "linux/amd64: a build would fail",
        "  error: no wheel",
        "  hint: wait",
    ]
    dark = PlatformPlan(platform=PLAN.platform, exists=False, note="no answer")
    assert "layers are not known" in printed(dark, capsys)


def test_missing_prefix_images_are_rows_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Those that exist are one row; an unknown size is a question mark."""
    there = Reuse(place="repository", source="ghcr.io/acme/train", known_by="base")
    found = replace(BASE, kind="prefix", why="prefix image: aw-1 exists", reuse=there)
    said = printed(replace(PLAN, layers=(found, found, LIGHT)), capsys)
    assert "prefix (2)  60 MB   there       prefix image: aw-1 exists" in said
    missing = replace(STEP, kind="prefix", why="prefix image: engine: with_apt('git')")
    other = replace(missing, name="step-2", why="prefix image: engine: with_run('x')")
    said = printed(replace(PLAN, layers=(missing, other, LIGHT)), capsys)
    assert "step-1   ?       to be made  prefix image: engine: with_apt" in said
    assert "step-2   ?       to be made  prefix image: engine: with_run" in said


@pytest.mark.parametrize("width", [80, 200])
def test_tables_fit_the_terminal(width: int) -> None:
    """Nothing is wider than the terminal, and no word is lost."""
    why = "a reason " * 20
    name = "files /a/very/long/destination/of/some/files"
    lines = list(
        table(("layer", "size", "why"), [(name, "1 MB", why), ("b", "?", "")], width)
    )
    assert max(map(len, lines)) <= width
    assert "".join(lines).count("reason") == 20
    first = "".join(line[2:26] for line in lines[1:-1])
    assert first.replace(" ", "") == name.replace(" ", "")


def test_a_terminal_wraps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal's width counts only where there is one."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    said = printed(PLAN, capsys)
    rows = [line for line in said.splitlines() if not line.startswith("linux")]
    assert max(map(len, rows)) <= 80
    assert "ghcr.io/acme/other" in said


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (20_000, "20 kB"),
        (1_250_000, "1.2 MB"),
        (191_000_000, "191 MB"),
        (5_000_000_000_000, "5000 GB"),
    ],
)
def test_sizes_are_decimal(count: int, text: str) -> None:
    """As package indexes write them."""
    assert decimal_size(count) == text


def test_explain_is_no_check(
    run: Run, services: Services, repository: str, tmp_path: Path
) -> None:
    """Explain plans layers and exits 0; --check asks one question and exits 1."""
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.aweigh.image]\nname = "cli"\nbase = "{services.base}"\n'
        'packages = ["idna==3.10"]\n'
    )
    env = {
        "AWEIGH_REGISTRY": repository,
        "AWEIGH_BUILDER": "assemble",
        "AWEIGH_ENGINE": f"unix://{tmp_path}/no.sock",
    }
    told = run("explain", **env)
    assert told.code == 0, told.err
    assert "to be made" in told.out
    assert "by name: idna" in told.out or "a layer of its own" in told.out
    asked = run("explain", "--json", **env)
    (plan,) = asked.json["image"]["plans"]
    assert plan["layers"][0]["kind"] == "base"
    assert plan["layers"][-1]["kind"] == "environment"
    checked = run("ensure", "--check", "--json", **env)
    assert (checked.code, checked.json["image"]["plans"]) == (1, [])
    broken = (tmp_path / "pyproject.toml").read_text().replace("3.10", "99")
    (tmp_path / "pyproject.toml").write_text(broken)
    refused = run("explain", "--json", **env)
    assert refused.code == 0
    assert "idna" in json.dumps(refused.json["image"]["plans"][0]["failure"])
