"""Local projects become wheels: once, the same everywhere, and only if they fit."""

import asyncio
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from aweigh.backends.assembler import Wheelhouse
from aweigh.backends.assembler.bases.base import BaseFacts
from aweigh.backends.assembler.wheels import store as stores
from aweigh.backends.assembler.wheels.records import Row, read_record
from aweigh.errors import BuildError, ChangedError, NeedsEngineError
from aweigh.image.snapshot import Snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest, Reference
from aweigh.settings import environment
from tests.backends.assembler.support import AMD64, ARM64, request_of
from tests.image.trees import make_tree

FACTS = BaseFacts(python="3.12", interpreter="/usr/bin/python3", libc="manylinux_2_36")
SPEC = ImageSpec("app", base="b", python="3.12")
PYPROJECT = """
[project]
name = "mine"
version = "1.5"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
# A backend that writes what differs between any two builds wherever it may.
BACKEND = """
import os, pathlib, time, zipfile
def get_requires_for_build_wheel(settings=None):
    return []
def build_wheel(directory, settings=None, metadata=None):
    count = pathlib.Path({log!r})
    count.write_text(count.read_text() + "x" if count.exists() else "x")
    tags, text = {tags!r}, {text}
    name = f"mine-1.5-{{tags}}.whl"
    info = "mine-1.5.dist-info"
    files = [
        ("mine.py", text),
        ("mine_env.py", repr(sorted(k for k in os.environ if "TOKEN" in k))),
        (f"{{info}}/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.5\\n"),
        (f"{{info}}/WHEEL", f"Wheel-Version: 1.0\\nGenerator: t ({{time.time_ns()}})\\n"
         f"Root-Is-Purelib: true\\nTag: {{tags}}\\n"),
        (f"{{info}}/direct_url.json", "{{}}"),
        (f"{{info}}/RECORD", "nonsense"),
    ]
    if time.time_ns() // 1000 % 2:
        files.reverse()
    with zipfile.ZipFile(os.path.join(directory, name), "w") as out:
        out.writestr(f"{{info}}/", "")
        for path, content in files:
            entry = zipfile.ZipInfo(path, time.localtime()[:6])
            entry.external_attr = 0o100664 << 16
            out.writestr(entry, content)
    return name
"""


@dataclass(slots=True)
class Bench:
    """A project, and wheelhouses of several machines."""

    root: Path

    def project(
        self, *, tags: str = "py3-none-any", text: str = '"x = 1"', name: str = "mine"
    ) -> None:
        """Write the project with another backend."""
        log = str(self.root / "builds")
        backend = BACKEND.format(tags=tags, text=text, log=log)
        make_tree(
            self.root / name, {"pyproject.toml": PYPROJECT, "backend.py": backend}
        )

    @property
    def builds(self) -> int:
        """How often a backend ran."""
        log = self.root / "builds"
        return len(log.read_text()) if log.exists() else 0

    def house(self, machine: str = "one") -> Wheelhouse:
        """Return the wheelhouse of a machine."""
        environ = environment() | {"MY_TOKEN": "canary", "UV_OFFLINE": "1"}
        return Wheelhouse(environ=environ, cache_dir=self.root / machine)

    async def furnish(
        self, spec: ImageSpec, machine: str = "one", **changes: object
    ) -> Snapshot:
        """Build what a spec takes from this machine."""
        request = request_of(spec, self.root, Reference.parse("r.test/app:1"))
        return await self.house(machine).furnish(replace(request, **changes), FACTS)  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench with a project."""
    bench = Bench(tmp_path)
    bench.project()
    return bench


def wheel_of(snapshot: Snapshot) -> Path:
    """Return the only member, a wheel."""
    (member,) = snapshot.members
    assert isinstance(member.source, Path)
    return member.source


async def test_a_project_becomes_a_wheel(bench: Bench) -> None:
    """It takes the place of the files, with a RECORD of its own and no traces."""
    found = await bench.furnish(SPEC.with_packages("./mine"))

    (member,) = found.members
    assert member.path == "steps/0/local/0/mine-1.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel_of(found)) as wheel:
        names = wheel.namelist()
        texts = {name: wheel.read(name) for name in names}
        assert {one.date_time[0] for one in wheel.infolist()} == {1980}
        assert {one.external_attr >> 16 for one in wheel.infolist()} == {0o100644}
        assert wheel.testzip() is None
    info = "mine-1.5.dist-info"
    assert names == [
        "mine.py",
        "mine_env.py",
        f"{info}/METADATA",
        f"{info}/WHEEL",
        f"{info}/RECORD",
    ]
    record = read_record(texts.pop(f"{info}/RECORD").decode())
    assert sorted(record) == sorted(
        [*(Row.of(*item) for item in texts.items()), Row(f"{info}/RECORD")]
    )
    assert texts["mine_env.py"] == b"[]"


async def test_two_machines_get_one_wheel(bench: Bench) -> None:
    """Times, order and versions of the backend do not show."""
    spec = SPEC.with_packages("./mine")
    ours = await bench.furnish(spec)
    theirs = await bench.furnish(spec, "two")
    assert bench.builds == 2
    assert ours.members[0].digest == theirs.members[0].digest
    assert wheel_of(ours) != wheel_of(theirs)
    assert ours.digest == theirs.digest


async def test_unchanged_files_are_built_once(bench: Bench) -> None:
    """Whoever asks for them, and however often; another file is another wheel."""
    spec = SPEC.with_packages("./mine").with_project("mine", install_project=True)
    first = await bench.furnish(spec)
    assert [one.path for one in first.members] == [
        "steps/1/pyproject.toml",
        "steps/0/local/0/mine-1.5-py3-none-any.whl",
        "steps/1/local/project/mine-1.5-py3-none-any.whl",
    ]
    await bench.furnish(SPEC.with_wheel("*/wheels/*/*/*.whl").with_packages("./mine"))
    assert bench.builds == 1
    bench.project(text='"x = 2"')
    changed = await bench.furnish(spec)
    assert bench.builds == 2
    assert changed.members[1].digest != first.members[1].digest


async def test_source_distributions_are_built(bench: Bench) -> None:
    """A local archive is a project too; a local wheel is what it is."""
    made = shutil.make_archive(
        str(bench.root / "mine-1.5"), "gztar", bench.root, "mine"
    )
    built = wheel_of(await bench.furnish(SPEC.with_packages("./mine-1.5.tar.gz")))
    assert Path(made).is_file()
    shutil.copy(built, bench.root)
    found = await bench.furnish(SPEC.with_packages(f"./{built.name}"))
    assert found.members[0].path == f"steps/0/local/0/{built.name}"
    assert wheel_of(found).parent == bench.root.resolve()
    assert bench.builds == 1


@pytest.mark.parametrize("damage", ["flip", "twice", "empty"])
async def test_a_damaged_wheel_is_built_again(bench: Bench, damage: str) -> None:
    """What was kept is verified before it is used."""
    spec = SPEC.with_packages("./mine")
    wheel = wheel_of(await bench.furnish(spec))
    content = wheel.read_bytes()
    if damage == "flip":
        wheel.write_bytes(b"?" + content[1:])
    elif damage == "twice":
        shutil.copy(wheel, wheel.with_name("other-1-py3-none-any.whl"))
    else:
        wheel.unlink()
    assert wheel_of(await bench.furnish(spec)).read_bytes() == content
    assert bench.builds == 2


async def test_the_oldest_wheels_go(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache stays small: what was used last is kept."""
    monkeypatch.setattr(stores, "_KEPT", 2)
    for text in ("1", "2", "1", "3"):
        bench.project(text=f'"x = {text}"')
        await bench.furnish(SPEC.with_packages("./mine"))
        await asyncio.sleep(0.02)
    assert bench.builds == 3
    bench.project(text='"x = 1"')
    await bench.furnish(SPEC.with_packages("./mine"))
    assert bench.builds == 3
    assert len(list((bench.root / "one" / "wheels").iterdir())) == 2


def test_what_is_not_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forgetting old wheels leaves alone whatever else lies beside them."""
    monkeypatch.setattr(stores, "_KEPT", 0)
    other = tmp_path / "store" / "ab" / "cd"
    other.mkdir(parents=True)
    (tmp_path / "new").mkdir()
    wheel = tmp_path / "new" / "a-1-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    stores.WheelStore(tmp_path / "store").keep(Digest.of(b"key"), wheel)
    assert list((tmp_path / "store").iterdir()) == [other.parent]
    assert other.is_dir()


@pytest.mark.parametrize("spoiled", ["parent", "own", "a file"])
async def test_a_directory_that_others_may_write_is_not_used(
    bench: Bench, spoiled: str
) -> None:
    """Nobody can slip a wheel into an image; a build costs its time each session."""
    cache = bench.root / "one"
    (cache / "wheels").mkdir(parents=True)
    if spoiled == "a file":
        (cache / "wheels").rmdir()
        (cache / "wheels").write_bytes(b"")
    else:
        (cache if spoiled == "parent" else cache / "wheels").chmod(0o777)
    spec = SPEC.with_packages("./mine")
    request = request_of(spec, bench.root, Reference.parse("r.test/app:1"))
    house = bench.house()
    wheel = wheel_of(await house.furnish(request, FACTS))
    assert wheel.exists()
    assert wheel_of(await house.furnish(request, FACTS)) == wheel
    assert bench.builds == 1
    assert cache not in wheel.parents
    assert spoiled == "a file" or not list((cache / "wheels").iterdir())


async def test_wheelhouses_may_build_the_same_at_once(bench: Bench) -> None:
    """Both get the wheel; it is kept once."""
    spec = SPEC.with_packages("./mine")
    first, second = await asyncio.gather(bench.furnish(spec), bench.furnish(spec))
    assert wheel_of(first) == wheel_of(second)
    assert len(list((bench.root / "one" / "wheels").iterdir())) == 1
    assert not list((bench.root / "one" / "assemble").iterdir())


@pytest.mark.parametrize(
    ("tags", "platform", "reason"),
    [
        ("cp312-cp312-linux_x86_64", AMD64, "libraries of this machine"),
        ("cp312-cp312-manylinux_2_17_x86_64", ARM64, "the base is"),
        ("cp39-cp39-manylinux_2_17_x86_64", AMD64, "the base has Python 3.12"),
        ("cp312-cp312-manylinux_2_39_x86_64", AMD64, "the base is manylinux_2_36"),
        ("py3-none-macosx_11_0_arm64", AMD64, "the base is"),
    ],
)
async def test_what_was_compiled_for_here_needs_an_engine(
    bench: Bench, tags: str, platform: object, reason: str
) -> None:
    """The project, its wheel and the reason are named."""
    bench.project(tags=tags)
    with pytest.raises(NeedsEngineError, match=reason) as caught:
        await bench.furnish(SPEC.with_packages("./mine"), platform=platform)
    assert f"mine-1.5-{tags}.whl" in caught.value.reason
    assert "step 0" in caught.value.reason
    assert "engine" in caught.value.hint


async def test_wheels_that_fit_need_not_be_pure(bench: Bench) -> None:
    """A manylinux wheel that the base can run is as good as a pure one."""
    bench.project(tags="cp39-abi3-manylinux_2_17_x86_64")
    found = await bench.furnish(SPEC.with_packages("./mine"))
    assert "abi3" in wheel_of(found).name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("__import__('sys').exit('no compiler here')", "no compiler here"),
        ("__file__", "contains a path of this machine, in mine.py"),
        ("__import__('sys').exit('setuptools-scm: no version')", "no version"),
    ],
)
async def test_what_does_not_build_here(bench: Bench, text: str, reason: str) -> None:
    """An engine may have what is missing; nothing stays, or shows where it was."""
    bench.project(text=text)
    with pytest.raises(NeedsEngineError, match=reason) as caught:
        await bench.furnish(SPEC.with_packages("./mine"))
    assert str(bench.root) not in str(caught.value)
    assert caught.value.hint
    assert ("with_wheel" in caught.value.hint) == ("scm" in text)
    if "exit" in text:
        assert isinstance(caught.value.__cause__, BuildError)
        assert any(reason in line for line in caught.value.__cause__.log)
    assert not list((bench.root / "one" / "assemble").iterdir())
    assert not (bench.root / "one" / "wheels").exists()


async def test_what_is_no_wheel(bench: Bench) -> None:
    """A backend that writes something else is named like one that fails."""
    text = BACKEND.format(tags="py3-none-any", text='""', log=str(bench.root / "b"))
    broken = text.replace(
        "with zipfile",
        "open(os.path.join(directory, name), 'w')\n    return name\n    with zipfile",
    )
    make_tree(bench.root / "mine", {"backend.py": broken})
    with pytest.raises(NeedsEngineError, match="does not build"):
        await bench.furnish(SPEC.with_packages("./mine"))


async def test_files_that_change_meanwhile(bench: Bench) -> None:
    """A wheel is never of other files than those that were digested."""
    request = request_of(
        SPEC.with_packages("./mine"), bench.root, Reference.parse("r.test/app:1")
    )
    make_tree(bench.root / "mine", {"backend.py": "changed"})
    with pytest.raises(ChangedError) as caught:
        await bench.house().furnish(request, FACTS)
    assert caught.value.paths == ("backend.py",)


async def test_cancelling_ends_the_backend(bench: Bench) -> None:
    """It is killed with all it started, and nothing of it is kept."""
    started = bench.root / "started"
    bench.project(
        text=f"[open({str(started)!r}, 'w').close(), __import__('time').sleep(600)]"
    )
    building = asyncio.ensure_future(bench.furnish(SPEC.with_packages("./mine")))
    while not started.exists():
        await asyncio.sleep(0.02)
    building.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([building])
    assert building.cancelled()
    assert not list((bench.root / "one" / "assemble").iterdir())


async def test_a_build_that_hangs(bench: Bench) -> None:
    """It is given up, with a reason."""
    bench.project(text="__import__('time').sleep(600)")
    request = request_of(
        SPEC.with_packages("./mine"), bench.root, Reference.parse("r.test/app:1")
    )
    house = Wheelhouse(environ=environment(), cache_dir=bench.root, seconds=0.5)
    with pytest.raises(NeedsEngineError, match=r"not done within 0\.5 s"):
        await house.furnish(request, FACTS)
    assert not list((bench.root / "assemble").iterdir())


async def test_links_and_rights_of_a_project_are_kept(bench: Bench) -> None:
    """The copy that is built is what was listed, empty directories included."""
    make_tree(bench.root / "mine", {"data/run!": "#!x", "data/plain": "y"})
    (bench.root / "mine" / "link").symlink_to("data/plain")
    bench.project(
        text="repr([os.stat('data/run').st_mode & 0o777, os.readlink('link'),"
        " os.path.basename(os.getcwd())])"
    )
    found = await bench.furnish(SPEC.with_packages("./mine"))
    with zipfile.ZipFile(wheel_of(found)) as wheel:
        assert wheel.read("mine.py") == b"[493, 'data/plain', 'project']"


@pytest.mark.parametrize(
    ("requires", "backend"),
    [
        ("hatchling", "hatchling.build"),
        ("setuptools", "setuptools.build_meta"),
        ("flit_core", "flit_core.buildapi"),
        ("uv_build>=0.13,<0.14", "uv_build"),
    ],
)
async def test_real_backends_are_deterministic(
    tmp_path: Path, requires: str, backend: str
) -> None:
    """Two machines that build at different times, elsewhere, get one wheel."""
    text = PYPROJECT.partition("[build-system]")[0] + "description = 'x'\n"
    tables = f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
    digests = set()
    for machine in ("one", "two/deeper"):
        root = make_tree(
            tmp_path / machine,
            {"pyproject.toml": text + tables, "src/mine/__init__.py": "x = 1\n"},
        )
        house = Wheelhouse(environ=environment(), cache_dir=tmp_path / f"c{machine}")
        spec = SPEC.with_project(".", install_project=True)
        request = request_of(spec, root, Reference.parse("r.test/app:1"))
        found = await house.furnish(request, FACTS)
        digests.add(found.members[-1].digest)
        await asyncio.sleep(1)
    assert len(digests) == 1
