"""`aweigh doctor`: each missing part has a name, and something that mends it."""

import os
from pathlib import Path

import pytest

from aweigh.cli import machine
from aweigh.cli.machine import cache
from aweigh.settings import Settings
from tests.cli.conftest import Run
from tests.services import Services


def test_without_engine_and_registry_it_is_a_note(run: Run, tmp_path: Path) -> None:
    """What these settings can do without fails nothing, and is still told."""
    bare = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock", "AWEIGH_TARGET": "docker"}
    done = run("doctor", "--json", **bare)
    said = done.json
    assert done.code == 0, done.out
    for name in ("engine", "target", "registry"):
        assert (said[name]["ok"], said[name]["level"]) == (True, "note")
        assert said[name]["hint"]
    assert said["uv"]["ok"]
    plain = run("doctor", **bare)
    assert "note engine" in plain.out
    assert plain.out.count("hint:") == 3


def test_a_target_that_is_no_swarm_fails(run: Run, services: Services) -> None:
    """The setting names it, so it has to be there."""
    outside = run(
        "doctor", "--json", AWEIGH_TARGET="swarm", AWEIGH_ENGINE=services.engine
    )
    assert outside.code == 1
    assert outside.json["target"]["hint"] == "docker swarm init"
    inside = run(
        "doctor", "--json", AWEIGH_TARGET="swarm", AWEIGH_ENGINE=services.swarm
    )
    assert (inside.code, "manager" in inside.json["target"]["detail"]) == (0, True)
    worker = run(
        "doctor", "--json", AWEIGH_TARGET="swarm", AWEIGH_ENGINE=services.swarm_worker
    )
    assert "promote" in worker.json["target"]["hint"]


def test_a_registry_that_does_not_answer(run: Run) -> None:
    """The command that shows why, and the setting for plain HTTP."""
    done = run("doctor", "--json", AWEIGH_REGISTRY="127.0.0.1:1/x")
    assert done.code == 1
    assert "curl -v https://127.0.0.1:1/v2/" in done.json["registry"]["hint"]
    offline = run("doctor", AWEIGH_REGISTRY="127.0.0.1:1/x", AWEIGH_OFFLINE="1")
    assert "not asked: offline" in offline.out


def test_a_store_that_is_written_to(run: Run, services: Services) -> None:
    """A remote store is tried with a small object; one that is not there fails."""
    keys = {
        "AWS_ENDPOINT_URL": services.s3_endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": services.s3_access_key,
        "AWS_SECRET_ACCESS_KEY": services.s3_secret_key,
        "AWS_REGION": "us-east-1",
    }
    place = f"s3://{services.s3_bucket}/doctor"
    fine = run("doctor", "--json", AWEIGH_STORE=place, **keys)
    assert "lets us write" in fine.json["store"]["detail"]
    gone = run("doctor", "--json", AWEIGH_STORE="s3://no-such-bucket/x", **keys)
    assert gone.json["store"]["ok"] is False
    assert gone.json["store"]["hint"]


def test_the_base_of_the_project_here(
    run: Run, services: Services, tmp_path: Path
) -> None:
    """It is asked for, and what cannot be had is named."""
    project = tmp_path / "pyproject.toml"
    bare = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    assert "base" not in run("doctor", "--json", **bare).json

    def base(name: str, **environ: str) -> dict[str, str]:
        project.write_text(f'[tool.aweigh.image]\nname = "x"\nbase = "{name}"\n')
        found: dict[str, str] = run("doctor", "--json", **environ).json["base"]
        return found

    assert base(services.base, **bare)["level"] == "ok"
    assert "not asked" in base(services.base, AWEIGH_OFFLINE="1", **bare)["detail"]
    gone = f"{services.base}-gone"
    assert base(gone, **bare)["level"] == "FAIL"
    assert base(gone, AWEIGH_ENGINE=services.engine)["level"] == "note"
    silent = base("127.0.0.1:1/python:3.12-slim", **bare)
    assert silent["level"] == "FAIL"
    assert "copy it to a registry that answers" in silent["hint"]


def test_a_variable_that_is_nearly_a_setting(run: Run) -> None:
    """It is told, with what was meant; what is like no setting is somebody else's."""
    done = run("doctor", "--json", AWEIGH_REGISTY="ghcr.io/acme", AWEIGH_OTHER="1")
    assert done.json["variable"]["hint"].startswith("export AWEIGH_REGISTRY=")
    assert "variable" not in run("doctor", "--json", AWEIGH_OTHER="1").json


def test_an_engine_elsewhere_is_not_started_here(run: Run) -> None:
    """The one command for this machine would not help: the address is told too."""
    there = run("doctor", "--json", AWEIGH_ENGINE="tcp://127.0.0.1:1").json["engine"]
    assert there["level"] == "FAIL"
    assert "DOCKER_HOST" in there["hint"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """Whose it is to be is named."""
    (tmp_path / "store").mkdir(mode=0o500)
    done = run("doctor", "--json", AWEIGH_STORE=f"file://{tmp_path}/store")
    assert str(tmp_path / "store") in done.json["store"]["hint"]


def test_a_cache_that_others_can_write_to(run: Run, tmp_path: Path) -> None:
    """It is not trusted; chmod mends it."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    done = run("doctor", "--json", AWEIGH_CACHE_DIR=str(folder))
    assert (done.code, done.json["cache"]["ok"]) == (1, False)
    assert done.json["cache"]["hint"] == f"chmod go-w {folder}"


async def test_a_cache_on_a_network_is_a_note(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It works, and costs time."""
    monkeypatch.setattr(machine, "is_shared", lambda _: True)
    found = await cache(Settings(cache_dir=tmp_path / "cache"))
    assert (found.level, "AWEIGH_CACHE_DIR" in found.hint) == ("note", True)
    monkeypatch.setattr(machine, "_LOW_DISK", 1 << 62)
    disks = list(machine.disk(Settings(cache_dir=tmp_path, data_dir=tmp_path)))
    assert [disk.level for disk in disks] == ["FAIL"]
