"""The command: data on stdout, exit codes, errors with hints."""

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from aweigh.backends.localdb import open_localdb
from aweigh.events import silent
from aweigh.memory import Record, Table, record_key
from aweigh.settings import environment
from tests.cli.conftest import Run
from tests.services import Services


@pytest.fixture
def project(tmp_path: Path, services: Services) -> Path:
    """Return a project directory with an image table and some code."""
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text("print('hi')\n")
    (folder / "src" / "big.log").write_text("x" * 5000)
    (folder / "src" / ".gitignore").write_text("*.log\n")
    (folder / "pyproject.toml").write_text(
        f"""
[tool.aweigh.image]
name = "cli"
base = "{services.base}"
env = {{ NONCE = "{uuid.uuid4().hex}" }}
"""
    )
    return folder


def real(services: Services, repository: str) -> dict[str, str]:
    """Return the variables that name the real services."""
    return {"AWEIGH_REGISTRY": repository, "AWEIGH_ENGINE": services.engine}


def test_ensure_checks_builds_and_recalls(
    run: Run, project: Path, services: Services, repository: str
) -> None:
    """--check says no, ensure builds, --check says yes, ensure recalls."""
    env = real(services, repository)
    assert run("ensure", "--check", cwd=project, **env).code == 1
    built = run("ensure", "--json", cwd=project, **env)
    assert (built.code, built.json["origin"]) == (0, "built")
    assert "ready: built" in built.err
    assert run("ensure", "--check", "-q", cwd=project, **env).code == 0
    plain = run("ensure", "pyproject.toml", "-q", cwd=project, **env)
    assert plain.out == built.json["image"] + "\n"
    assert plain.err == ""
    again = run("ensure", "--check", "--json", cwd=project, **env)
    assert again.json["image"]["tier"] == "cache"


def test_prepare_fetch_and_explain(
    run: Run, project: Path, services: Services, repository: str, tmp_path: Path
) -> None:
    """The whole job, and the bundle comes back without what is ignored."""
    env = real(services, repository)
    plan = run("explain", "pyproject.toml", "src", cwd=project, **env)
    assert "build: " in plan.out
    assert "upload: " in plan.out
    ready = run("prepare", "pyproject.toml", "src", "--json", cwd=project, **env)
    assert ready.code == 0, ready.err
    uri = ready.json["bundle"]["bundle"]
    fetched = run("fetch", uri, str(tmp_path / "dest"), cwd=project, **env)
    assert fetched.out == f"{tmp_path / 'dest'}\n"
    names = {path.name for path in (tmp_path / "dest").iterdir()}
    assert "main.py" in names
    assert "big.log" not in names
    again = run("prepare", "pyproject.toml", "src", cwd=project, **env)
    assert again.out.splitlines() == [ready.json["image"]["image"], uri]
    foreseen = run("explain", "pyproject.toml", "src", "--json", cwd=project, **env)
    assert foreseen.json["bundle"]["tier"] == "cache"
    listed = run("cache", "ls", "--json", cwd=project, **env)
    assert {row["table"] for row in listed.json["rows"]} >= {"images", "bundles"}
    assert "images" in run("cache", "ls", cwd=project, **env).out


def test_bundle_and_its_dry_run(run: Run, tmp_path: Path) -> None:
    """A dry run lists what goes in and which rule keeps what out, largest first."""
    source = tmp_path / "code"
    (source / "pkg").mkdir(parents=True)
    (source / "small.py").write_text("1")
    (source / "pkg" / "large.py").write_text("1" * 4000)
    (source / "notes.log").write_text("x")
    (source / ".aweighignore").write_text("*.log\n")
    listed = run("bundle", "code", "--dry-run")
    lines = listed.out.splitlines()
    assert lines[0].endswith("pkg/large.py")
    assert any("notes.log  <- .aweighignore:1" in line for line in lines)
    document = run("bundle", "code", "--dry-run", "--json").json
    assert [entry["path"] for entry in document["skipped"]] == ["notes.log"]
    assert not (tmp_path / "data").exists()
    made = run("bundle", "code", "--json")
    assert made.json["origin"] == "uploaded"
    plain = run("bundle", "code", "--exclude", "small.py")
    assert plain.out.startswith("file://")
    assert plain.out.strip() != made.json["bundle"]


def test_dry_run_with_globs_and_nested_rules(run: Run, tmp_path: Path) -> None:
    """Each thing that is left out is named with the rule that did it, largest first."""
    source = tmp_path / "code"
    (source / "sub" / "deep").mkdir(parents=True)
    for name, size in {
        "a.py": 1,
        "sub/b.py": 9,
        "sub/deep/c.py": 5,
        "x.bin": 7,
    }.items():
        (source / name).write_text("1" * size)
    (source / "sub" / ".gitignore").write_text("deep/\n")
    (source / "sub" / "secret").write_text("1" * 50)
    (source / "sub" / ".aweighignore").write_text("secret\n")
    (source / ".env").write_text("1" * 30)
    globs = ("--include", "*.py", "--include", "x.*", "--exclude", "*.bin")
    done = run("bundle", "code", "--dry-run", "--json", *globs)
    listed = [entry["path"] for entry in done.json["entries"]]
    assert listed == ["sub/b.py", "a.py"]
    rules = {out["path"]: out["rule"] for out in done.json["skipped"]}
    assert rules["x.bin"] == "--exclude *.bin"
    assert rules["sub/deep/"] == "sub/.gitignore:1: deep/"
    assert rules["sub/secret"] == "sub/.aweighignore:1: secret"
    assert rules[".env"] == "built-in: .env"
    sizes = [out["size"] for out in done.json["skipped"]]
    assert sizes == sorted(sizes, reverse=True)


def test_built_in_excludes_are_printed(run: Run) -> None:
    """Every pattern with its reason, for people and for programs."""
    lines = run("bundle", "--show-excludes").out.splitlines()
    assert any(line.split()[0] == ".env" and "secrets" in line for line in lines)
    assert any("pyvenv.cfg" in line for line in lines)
    document = run("bundle", "--show-excludes", "--json").json
    assert {
        "pattern": ".DS_Store",
        "reason": "the file manager's settings",
    } in document["patterns"]
    assert document["directories_with"] == ["pyvenv.cfg", "CACHEDIR.TAG"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tgz"])
def test_bundle_into_a_file(run: Run, tmp_path: Path, suffix: str) -> None:
    """The archive does not hold itself, is the same again, and no store is touched."""
    source = tmp_path / "code"
    source.mkdir()
    (source / "main.py").write_text("1")
    archive = source / f"all{suffix}"
    done = run("bundle", "code", "--output", f"code/all{suffix}")
    assert done.out == f"code/all{suffix}\n"
    first = archive.read_bytes()
    again = run("bundle", "code", "--output", f"code/all{suffix}", "--json")
    assert again.json == {
        "path": f"code/all{suffix}",
        "bytes": len(first),
        "files": 1,
        "size": 1,
    }
    assert archive.read_bytes() == first
    assert sorted(path.name for path in source.iterdir()) == [archive.name, "main.py"]
    assert not (tmp_path / "data").exists()
    refused = run("bundle", "code", "--output", "all.rar")
    assert refused.code == 1
    assert ".tar.gz" in refused.err


def test_bundle_in_another_form(run: Run, tmp_path: Path) -> None:
    """The URI names the archive; the same again is warm; fetch says what to do."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("1")
    made = run("bundle", "code", "--form", "zip", "--json").json
    assert made["bundle"].endswith("/bundle.zip")
    assert run("bundle", "code", "--form", "zip", "--json").json["origin"] == "recalled"
    refused = run("fetch", made["bundle"], "out")
    assert refused.code == 1
    assert "unzip" in refused.err


def test_cache_commands(run: Run, tmp_path: Path) -> None:
    """Dir, size, prune and clean say what they did."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").write_text("1")
    assert run("cache", "dir").out == f"{tmp_path / 'cache'}\n"
    assert run("cache", "dir", "--json").json == {"dir": str(tmp_path / "cache")}
    assert run("bundle", "code").code == 0
    assert int(run("cache", "size").out) > 0
    assert run("cache", "prune").out == "0\n"
    assert run("cache", "clean", "--json").json["removed"] >= 2
    assert run("cache", "ls", "--json").json == {"rows": []}


def test_doctor(run: Run, services: Services, repository: str, tmp_path: Path) -> None:
    """Everything works with the real services; what is broken is named."""
    fine = run("doctor", **real(services, repository))
    assert fine.code == 0, fine.out
    assert "BuildKit" in fine.out
    assert "lets us push" in fine.out
    broken = run(
        "doctor",
        "--json",
        AWEIGH_ENGINE=f"unix://{tmp_path}/no.sock",
        AWEIGH_REGISTRY=f"{services.secure_registry}/x",
        AWEIGH_INSECURE_REGISTRIES=services.secure_registry,
        HOME=str(tmp_path),
        DOCKER_CONFIG=str(tmp_path),
    )
    assert broken.code == 1
    said = broken.json
    assert [name for name in said if not said[name]["ok"]] == [
        "engine",
        "registry",
        "target",
    ]
    assert all(said[name]["hint"] for name in ("engine", "registry"))
    (tmp_path / "file").write_text("")
    blocked = run("doctor", "--json", AWEIGH_CACHE_DIR=str(tmp_path / "file" / "x"))
    assert blocked.json["cache"]["ok"] is False


async def test_doctor_notices_a_clock_that_went_back(run: Run, tmp_path: Path) -> None:
    """Answers from the future are misses; the doctor says why."""
    later = time.time() + 7200
    ahead = Record(
        table=Table.IMAGES,
        key=record_key("x"),
        value=b"x",
        created_at=later,
        verified_at=later,
        expires_at=later + 60,
    )
    async with open_localdb(tmp_path / "cache", listener=silent) as db:
        await db.remember([ahead])
    done = await asyncio.to_thread(run, "doctor", "--json")
    assert done.json["clock"]["ok"] is False
    assert "behind" in done.json["clock"]["detail"]
    assert done.code == 1


@pytest.mark.parametrize(
    ("argv", "environ", "code", "says"),
    [
        ((), {}, 2, "usage"),
        (("ensure", "nothing"), {}, 1, "no file 'nothing' here"),
        (("ensure",), {}, 1, "no pyproject.toml"),
        (("ensure", "json:nothing"), {}, 1, "cannot load"),
        (("ensure", "json:dumps"), {}, 1, "not an ImageSpec"),
        (("bundle", "nowhere"), {}, 1, "nowhere"),
        (("fetch", "nonsense", "d"), {}, 1, "bundle URI"),
        (("cache", "dir"), {"AWEIGH_OFFLINE": "perhaps"}, 2, "offline"),
    ],
)
def test_errors_have_hints_and_codes(
    run: Run, argv: tuple[str, ...], environ: dict[str, str], code: int, says: str
) -> None:
    """Errors go to stderr, say what to do, and show no traceback."""
    done = run(*argv, **environ)
    assert done.code == code
    assert done.out == ""
    assert says in done.err
    assert "Traceback" not in done.err
    if argv:
        assert "hint: " in done.err


@pytest.mark.parametrize("options", [(), ("--rebuild",)])
def test_refused_credentials_have_their_own_code(
    run: Run,
    project: Path,
    services: Services,
    tmp_path: Path,
    options: tuple[str, ...],
) -> None:
    """Exit code 4 tells scripts to log in; the message tells people how."""
    done = run(
        "ensure",
        *options,
        cwd=project,
        AWEIGH_ENGINE=services.engine,
        AWEIGH_REGISTRY=f"{services.secure_registry}/t",
        AWEIGH_INSECURE_REGISTRIES=services.secure_registry,
        HOME=str(tmp_path),
        DOCKER_CONFIG=str(tmp_path),
    )
    assert done.code == 4, done.err
    assert "docker login" in done.err


def test_spec_from_dockerfile_script_and_module(
    run: Run, services: Services, repository: str, tmp_path: Path
) -> None:
    """A spec can be any of the documented things."""
    env = real(services, repository)
    (tmp_path / "Dockerfile").write_text(f"FROM {services.base}\nENV A=1\n")
    (tmp_path / "My_Script.py").write_text(
        "# /// script\n# dependencies = ['humanize']\n# ///\nprint(1)\n"
    )
    (tmp_path / "specs.py").write_text(
        "from aweigh import ImageSpec\n"
        f"class Images: train = ImageSpec('train', base='{services.base}')\n"
    )
    for spec, name in (
        ("Dockerfile", tmp_path.name.replace("_", "-")),
        ("My_Script.py", "my-script"),
        ("specs:Images.train", "train"),
    ):
        plan = run("explain", spec, "--json", **env)
        assert plan.code == 0, plan.err
        reference = plan.json["image"]["reference"]
        assert reference.startswith(f"{repository}/{name.strip('-')}:aw-")


def test_version(run: Run) -> None:
    """--version prints the version."""
    assert run("--version").out.startswith("aweigh 0.")


def test_interrupted_build_exits_with_130_and_stops(
    project: Path, services: Services, repository: str, tmp_path: Path
) -> None:
    """Ctrl-C ends within a second or so, with 130 and no traceback."""
    nap = 1000 + uuid.uuid4().int % 8000
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(f'{text}run = ["sleep {nap}"]\n')
    env = environment() | real(services, repository)
    env |= {"AWEIGH_CACHE_DIR": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [sys.executable, "-m", "aweigh", "ensure"],
        cwd=project,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        _wait_for_process(f"sleep {nap}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "interrupted" in err


def _wait_for_process(command: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if subprocess.run(["pgrep", "-fx", command], check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise TimeoutError(command)
