"""Local projects in images: without an engine, and with one where it takes one."""

import asyncio
import dataclasses
import json
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import aiodocker
import pytest
from uv import find_uv_bin

from aweigh import ImageSpec, Settings, open_session
from aweigh.errors import NeedsEngineError
from aweigh.events import BuildStarted, BuildStepFinished, Warned
from aweigh.testing import RecordingListener
from tests.backends.resolver.place import Index, make_dist
from tests.image.trees import make_tree
from tests.services import Services
from tests.test_builders import output, without_engine

BACKEND = '[build-system]\nrequires = ["uv_build>=0.13,<0.14"]\n'
BACKEND += 'build-backend = "uv_build"\n'
# Prints what each distribution is, and whether all it consists of is there.
LIST = """
import importlib.metadata as m, json
found = {}
for one in m.distributions():
    if str(one.locate_file("")).startswith("/opt/venv"):
        found[one.name] = [
            one.version,
            all(f.locate().exists() for f in one.files),
            any("direct_url" in str(f) or "uv_" in f.name for f in one.files),
        ]
print(json.dumps(found))
"""


def project(name: str, more: str = "", *, needs: str = "[]", version: str = "1") -> str:
    """Write a pyproject.toml."""
    head = f'[project]\nname = "{name}"\nversion = "{version}"\n'
    return f'{head}requires-python = ">=3.11"\ndependencies = {needs}\n{more}{BACKEND}'


def uv(root: Path, *argv: str) -> None:
    """Run uv in a directory."""
    subprocess.run([find_uv_bin(), *argv], cwd=root, check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let paths of specs start in the test's own directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a locked workspace: a project, a member, an editable, a virtual one."""
    sources = (
        "[tool.uv.sources]\nmember-lib = { workspace = true }\n"
        'beside = { path = "../beside", editable = true }\n'
        '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
        '[project.scripts]\nrun-app = "app:main"\n'
    )
    make_tree(
        tmp_path,
        {
            "ws/pyproject.toml": project(
                "app", sources, needs='["member-lib", "beside", "idna==3.10"]'
            ),
            "ws/src/app/__init__.py": "import beside, member_lib\n"
            "def main():\n    print(member_lib.NAME, beside.NAME)\n",
            "ws/packages/a/pyproject.toml": project("member-lib", needs='["six"]'),
            "ws/packages/a/src/member_lib/__init__.py": "NAME = 'member'\n",
            "beside/pyproject.toml": project("beside", version="7"),
            "beside/src/beside/__init__.py": "NAME = 'beside'\n",
        },
    )
    uv(tmp_path / "ws", "lock")
    return tmp_path


async def local_base(services: Services, spec: ImageSpec) -> ImageSpec:
    """Return a spec on a base that only the engine has: nothing can be pinned."""
    local = f"127.0.0.1:1/local/base-{uuid.uuid4().hex}"
    async with aiodocker.Docker(url=services.engine) as docker:
        await docker.images.pull(services.base)
        await docker.images.tag(services.base, repo=local, tag="1")
    return spec.replace(base=f"{local}:1").with_env(NONCE=uuid.uuid4().hex)


def spec_of(services: Services) -> ImageSpec:
    """Return a spec that equals no other test's."""
    return ImageSpec("local", base=services.base).with_env(NONCE=uuid.uuid4().hex)


async def test_a_workspace_needs_no_engine(
    live: Settings, services: Services, workspace: Path
) -> None:
    """Members and editables are plain wheels; what changes is their layer alone."""
    spec = spec_of(services).with_project("ws", install_project=True)
    heard = RecordingListener()
    settings = without_engine(live, "assemble")
    async with open_session(settings, listener=heard) as session:
        image = await session.ensure_image(spec)
    said = await output(services, str(image), "python", "-c", LIST)
    assert json.loads(said) == {
        "app": ["1", True, False],
        "beside": ["7", True, False],
        "idna": ["3.10", True, False],
        "member-lib": ["1", True, False],
        "six": [json.loads(said)["six"][0], True, False],
    }
    assert await output(services, str(image), "run-app") == "member beside\n"
    make_tree(workspace, {"beside/src/beside/__init__.py": "NAME = 'changed'\n"})
    empty = dataclasses.replace(settings, cache_dir=live.data_dir / "other")
    heard = RecordingListener()
    async with open_session(empty, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert await output(services, str(image), "run-app") == "member changed\n"
    layers = {event.step: event.cached for event in heard.of(BuildStepFinished)}
    assert [step for step, cached in layers.items() if not cached] == [
        step for step in layers if "first-party" in step or "environment" in step
    ]


async def test_requirements_and_locks_of_local_projects(
    live: Settings, services: Services, workspace: Path
) -> None:
    """Wherever a directory may be named, its wheel is installed."""
    uv(
        workspace / "ws",
        *("export", "--format", "pylock.toml", "-o", "pylock.toml"),
    )
    make_tree(workspace, {"r.txt": "-e ./beside\nidna==3.10\n"})
    base = spec_of(services)
    specs = {
        "member-lib": base.with_packages("./ws/packages/a"),
        "beside": base.with_requirements("r.txt"),
        "app": base.with_lock("ws/pylock.toml"),
    }
    async with open_session(without_engine(live, "assemble")) as session:
        images = await asyncio.gather(
            *(session.ensure_image(one) for one in specs.values())
        )
    found = [
        set(json.loads(await output(services, str(one), "python", "-c", LIST)))
        for one in images
    ]
    assert found == [
        {"member-lib", "six"},
        {"beside", "idna"},
        {"app", "beside", "idna", "member-lib", "six"},
    ]


async def test_the_engine_installs_the_same_wheels(
    live: Settings,
    services: Services,
    workspace: Path,
) -> None:
    """With a base that it can be pinned for, its layers are those of the plan."""
    spec = (
        spec_of(services)
        .with_packages("./beside")
        .with_project("ws", install_project=True)
        .with_run("run-app > /said")
    )
    assert (workspace / "beside").is_dir()
    heard = RecordingListener()
    settings = dataclasses.replace(live, builder="engine")
    async with open_session(settings, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert not heard.of(Warned)
    assert await output(services, str(image), "cat", "/said") == "member beside\n"
    lock = await output(services, str(image), "cat", "/opt/venv/pylock.toml")
    assert 'name = "beside-7-py3-none-any.whl"' in lock


NATIVE = """
[project]
name = "native"
version = "1"
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[tool.setuptools]
py-modules = ["native"]
"""
# As compilers do: the wheel is for the machine that it was built on.
SETUP = """
from setuptools import Distribution, setup
class Binary(Distribution):
    def has_ext_modules(self):
        return True
setup(distclass=Binary)
"""


def add_native(root: Path, setup: str) -> None:
    """Write a project."""
    files = {"pyproject.toml": NATIVE, "setup.py": setup, "native.py": "N = 'built'\n"}
    make_tree(root / "native", files)


def is_empty(live: Settings) -> bool:
    """Tell whether nothing was ever pushed to the test's repository."""
    host, _, path = str(live.registry).partition("/")
    with pytest.raises(HTTPError) as caught:
        urlopen(f"http://{host}/v2/{path}/local/tags/list")
    caught.value.close()
    return caught.value.code == 404


async def refused_then_built(
    live: Settings, services: Services, spec: ImageSpec, told: str
) -> None:
    """`assemble` names what it cannot; `auto` lets the engine build it."""
    async with open_session(without_engine(live, "assemble")) as session:
        with pytest.raises(NeedsEngineError, match=told) as caught:
            await session.ensure_image(spec)
    assert "engine" in caught.value.hint
    assert await asyncio.to_thread(is_empty, live)
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert [event.builder for event in heard.of(BuildStarted)][-1] == "engine"
    script = "import native; print(native.N)"
    assert await output(services, str(image), "python", "-c", script) == "built\n"


async def test_what_is_compiled_is_built_where_it_runs(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """A wheel that only fits this machine is none of the image's."""
    add_native(tmp_path, SETUP)
    told = r"native-1-cp\S+-linux_\S+.whl, which cannot run on the base"
    spec = spec_of(services).with_packages("./native")
    await refused_then_built(live, services, spec, told)


async def test_what_has_no_wheel_is_built_where_it_runs(
    live: Settings, services: Services, tmp_path: Path
) -> None:
    """A source distribution of an index is the engine's, and is named."""
    add_native(tmp_path, "from setuptools import setup\nsetup()\n")
    uv(tmp_path, "build", "--sdist", "native", "--out-dir", "dist")
    spec = spec_of(services).with_packages("native", find_links=["dist"])
    told = r"native 1 has no wheel for linux/\w+, only native-1.tar.gz"
    await refused_then_built(live, services, spec, told)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Return a package index that the engine reaches, too."""
    found = Index(tmp_path / "dist")
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


async def test_the_engine_honours_indexes_of_scripts(
    live: Settings, services: Services, tmp_path: Path, index: Index
) -> None:
    """Also where the engine resolves itself, which it does for a base of its own."""
    make_dist(tmp_path / "dist", "onlythere", "2.5")
    make_tree(
        tmp_path,
        {
            "s.py": '# /// script\n# dependencies = ["onlythere"]\n'
            f'# [[tool.uv.index]]\n# url = "{index.url}"\n# ///\n'
        },
    )
    spec = await local_base(services, ImageSpec.from_script("s.py", name="local"))
    heard = RecordingListener()
    settings = dataclasses.replace(live, builder="engine")
    async with open_session(settings, listener=heard) as session:
        image = await session.ensure_image(spec)
    assert "not pinned" in heard.of(Warned)[-1].message
    said = json.loads(await output(services, str(image), "python", "-c", LIST))
    assert said == {"onlythere": ["2.5", True, False]}


async def test_the_engine_builds_local_projects(
    live: Settings, services: Services, workspace: Path
) -> None:
    """Where nothing can be pinned, each step builds what it names."""
    make_tree(workspace, {"r.txt": "-e ./beside\n"})
    spec = (
        (await local_base(services, spec_of(services)))
        .with_packages("./ws/packages/a", "idna==3.10")
        .with_requirements("r.txt")
        .with_project("ws", install_project=True)
    )
    settings = dataclasses.replace(live, builder="engine")
    async with open_session(settings) as session:
        image = await session.ensure_image(spec)
    assert await output(services, str(image), "run-app") == "member beside\n"
