"""Bytecode: equal everywhere, made once per wheel, and what is damaged is made anew."""

import asyncio
import importlib.util
import io
import json
import marshal
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType

import pytest

from aweigh.archive.member import Member
from aweigh.backends.assembler.bytecode.bytecode import Bytecode, Compiler, Compilers
from aweigh.backends.assembler.bytecode.compiling import Job, Workers
from aweigh.backends.assembler.bytecode.worker import serve
from aweigh.backends.assembler.wheels.installed import Installed
from aweigh.backends.assembler.wheels.keep import Keep
from aweigh.backends.assembler.wheels.records import Row
from aweigh.oci import Digest
from aweigh.settings import environment
from tests.image.locks import make_locked

FINAL = "opt/venv/lib/python3/site-packages"
CACHE_TAG = sys.implementation.cache_tag or ""
OURS = Compiler(sys.executable, f"{CACHE_TAG}-0.0.1")
# What CPython writes differently when other modules were compiled before.
TRICKY = (
    "A = x in {'one', 'two', None}\nB = x in {'two', None, 'one'}\n"
    "C = ['[', ']', ':', '', 'name', 'no name', 3.5, -1, b'x', ('[', {'t', 1})]\n"
)


def install(
    stage: Path, name: str, files: dict[str, str], *, wrong: Iterable[str] = ()
) -> tuple[Installed, list[Member]]:
    """Unpack a wheel with these files; return what a stage of it consists of."""
    rows, members = {}, []
    for path, text in files.items():
        place = stage / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        said = "something else" if path in wrong else text
        rows[path] = Row.of(path, said.encode())
        members.append(
            Member(path=f"{FINAL}/{path}", kind="file", size=len(text), source=place)
        )
    return Installed(make_locked(name), rows), members


def contents(members: Iterable[Member]) -> dict[str, bytes]:
    """Read what bytecode there is, by path, and check what is said of it."""
    found = {}
    for member in members:
        assert isinstance(member.source, Path)
        content = member.source.read_bytes()
        assert (member.size, member.digest) == (len(content), Digest.of(content))
        found[member.path.removeprefix(f"{FINAL}/")] = content
    return found


def code_of(content: bytes) -> CodeType:
    """Load bytecode, which must be for this Python and not checked against times."""
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert content[4:8] == b"\1\0\0\0"
    code = marshal.loads(content[16:])  # noqa: S302 - ours
    assert isinstance(code, CodeType)
    return code


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    """Return a place to keep things."""
    return Keep(tmp_path / "keep")


def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note which programs are started from now on."""
    programs: list[str] = []
    real = asyncio.create_subprocess_exec

    async def note(program: str, *rest: str, **options: object) -> object:
        programs.append(program)
        return await real(program, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    return programs


async def test_modules_are_compiled_for_their_final_place(
    tmp_path: Path, keep: Keep
) -> None:
    """Tracebacks name the image's path; templates and a package's tests stay out."""
    files = {
        "pkg/__init__.py": "def main(): pass\n",
        "top.py": "x = 1\n",
        "pkg/template.py": "{{ broken }} = \n",
        "pkg/tests/__init__.py": "",
        "pkg/tests/test_a.py": "x = 1\n",
        "pkg/data.txt": "text",
    }
    one, members = install(tmp_path / "stage", "pkg", files)
    outside = Member(path="opt/venv/bin/x.py", kind="file", size=1, source=b"1")
    found = contents(
        await Bytecode(OURS, keep, FINAL).members(
            [*members, outside], [one], tmp_path / "out"
        )
    )
    assert set(found) == {
        f"pkg/__pycache__/__init__.{CACHE_TAG}.pyc",
        f"__pycache__/top.{CACHE_TAG}.pyc",
        f"pkg/tests/__pycache__/__init__.{CACHE_TAG}.pyc",
    }
    code = code_of(found[f"pkg/__pycache__/__init__.{CACHE_TAG}.pyc"])
    assert code.co_filename == f"/{FINAL}/pkg/__init__.py"


async def test_what_was_compiled_before_does_not_show(
    tmp_path: Path, keep: Keep
) -> None:
    """One interpreter compiles many modules, each as if it were the only one."""
    many = {f"m{number}.py": f"x{number} = '['\n" for number in range(40)}
    alone, members = install(tmp_path / "a", "one", {"tricky.py": TRICKY})
    bytecode = Bytecode(OURS, keep, FINAL)
    first = contents(await bytecode.members(members, [alone], tmp_path / "out-a"))
    name = f"__pycache__/tricky.{CACHE_TAG}.pyc"
    for number, files in enumerate(
        [many | {"tricky.py": TRICKY}, {"a.py": TRICKY * 9, "tricky.py": TRICKY} | many]
    ):
        other, members = install(tmp_path / f"b{number}", f"w{number}", files)
        place = tmp_path / f"out-{number}"
        found = contents(await bytecode.members(members, [other], place))
        assert found[name] == first[name]
        assert len(found) == len(files)
    namespace: dict[str, object] = {"x": "one"}
    exec(code_of(first[name]), namespace)  # noqa: S102 - ours, and what it is about
    assert namespace["A"] is namespace["B"] is True


async def test_a_wheel_is_compiled_once(
    tmp_path: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stage, another layer: no interpreter starts for a wheel that is known."""
    programs = started(monkeypatch)
    files = {"pkg/a.py": "x = 1\n"}
    one, members = install(tmp_path / "first", "pkg", files)
    first = contents(
        await Bytecode(OURS, keep, FINAL).members(members, [one], tmp_path / "o1")
    )
    assert len(programs) == 1
    again, members = install(tmp_path / "second", "pkg", files)
    new, more = install(tmp_path / "second", "new", {"b.py": ""})
    found = contents(
        await Bytecode(OURS, keep, FINAL).members(members, [again], tmp_path / "o2")
    )
    assert found == first
    assert len(programs) == 1
    both = await Bytecode(OURS, keep, FINAL).members(
        [*members, *more], [new, again], tmp_path / "o3"
    )
    assert len(both) == 2
    other = Compiler(sys.executable, f"{CACHE_TAG}-0.0.2")
    await Bytecode(other, keep, FINAL).members(members, [again], tmp_path / "o4")
    assert len(programs) == 3


async def test_what_is_no_statement_about_a_wheel_is_not_kept(
    tmp_path: Path, keep: Keep
) -> None:
    """Files of another content, files another wheel wrote, and files of nobody."""
    files = {"a.py": "x = 1\n", "both.py": "x = 2\n"}
    wrong, members = install(tmp_path / "s", "wrong", files, wrong=["a.py"])
    loser, _ = install(tmp_path / "s", "loser", files)
    winner, _ = install(tmp_path / "s", "winner", {"both.py": "x = 3\n"})
    _, stray = install(tmp_path / "s", "stray", {"stray.py": ""})
    cases = [(wrong, [wrong]), (loser, [loser, winner])]
    for number, (one, installed) in enumerate(cases):
        bytecode = Bytecode(OURS, keep, FINAL)
        place = tmp_path / f"out-{number}"
        found = await bytecode.members([*members, *stray], installed, place)
        assert {Path(member.path).name.partition(".")[0] for member in found} == {
            *("a", "both", "stray"),
        }
        # Other content under the same wheel: what was kept would come back.
        (tmp_path / "s" / "a.py").write_text(f"x = 'changed {number}'\n")
        place = tmp_path / f"again-{number}"
        again = await bytecode.members([*members, *stray], [one], place)
        assert contents(again) != contents(found)


async def test_damage_is_made_anew(tmp_path: Path, keep: Keep) -> None:
    """A list that is cut, a file that is gone; what only packing sees is forgotten."""
    one, members = install(tmp_path / "s", "pkg", {"a.py": "x = 1\n", "b.py": "y = 2"})
    bytecode = Bytecode(OURS, keep, FINAL)
    first = contents(await bytecode.members(members, [one], tmp_path / "o"))
    for number, name in enumerate(["list", "0", "1"]):
        (entry,) = (tmp_path / "keep").glob("??/*")
        (entry / name).write_bytes(b"nonsense")
        place = tmp_path / f"o{number}"
        assert contents(await bytecode.members(members, [one], place)) == first
    (entry,) = (tmp_path / "keep").glob("??/*")
    (entry / "list").unlink()
    assert contents(await bytecode.members(members, [one], tmp_path / "p")) == first
    bytecode.forget([one.wheel])
    assert not list((tmp_path / "keep").glob("??/*"))


async def test_two_at_once_and_a_full_disk(tmp_path: Path, keep: Keep) -> None:
    """Whoever comes second uses what it made; so does who may keep nothing."""
    one, members = install(tmp_path / "s", "pkg", {"a.py": "x = 1\n"})
    found = await asyncio.gather(
        *(
            Bytecode(OURS, keep, FINAL).members(members, [one], tmp_path / f"{number}")
            for number in range(4)
        )
    )
    assert len({tuple(contents(each).items()) for each in found}) == 1
    (tmp_path / "file").write_text("")
    nowhere = Keep(tmp_path / "file" / "keep")
    left = await Bytecode(OURS, nowhere, FINAL).members(
        members, [one], tmp_path / "left"
    )
    assert contents(left) == contents(found[0])


def test_the_program_answers_line_by_line(tmp_path: Path) -> None:
    """What does not compile is null; equal sets are one object, wherever they are."""
    texts = {
        "good": "def f(): return x in {1, 2}\ny = x in {2, 1}\n",
        "bad": "(",
        "b": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    jobs = [
        [str(tmp_path / name), str(tmp_path / f"{name}.pyc"), name] for name in texts
    ]
    out = io.StringIO()
    serve([json.dumps(jobs[:2]), json.dumps(jobs[2:])], out)
    first, second = map(json.loads, out.getvalue().splitlines())
    content = (tmp_path / "good.pyc").read_bytes()
    source = Digest.of(texts["good"].encode()).hex
    assert first == [[len(content), Digest.of(content).hex, source], None]
    assert second[0][2] == Digest.of(b"").hex
    code = code_of(content)
    inner = next(one for one in code.co_consts if isinstance(one, CodeType))
    held = [*code.co_consts, *inner.co_consts]
    sets = [one for one in held if isinstance(one, frozenset)]
    assert len(sets) == 2
    assert sets[0] is sets[1]


async def test_an_interpreter_that_breaks_down_loses_one_module(
    tmp_path: Path,
) -> None:
    """The others of its batch are compiled by the next."""
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\nwhile read line; do case $line in\n"
        "*bad*) exit 1;;\n*,*,*,*) exit 1;;\n"
        f'*) echo "[[1, \\"{"0" * 64}\\", \\"{"1" * 64}\\"]]";;\nesac; done\n'
    )
    program.chmod(0o755)
    names = ["good", "bad", "fine"]
    jobs = [Job(Path(name), Path(f"{name}.pyc"), name, 1) for name in names]
    found = await Workers(str(program)).compile(jobs)
    assert [one is not None for one in found] == [True, False, True]
    missing = Workers(str(tmp_path / "missing"))
    with pytest.raises(ExceptionGroup) as caught:
        await missing.compile(jobs)
    assert caught.group_contains(FileNotFoundError, match="missing")


async def test_cancelling_ends_the_interpreters(tmp_path: Path) -> None:
    """None is left behind."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nexec sleep 60\n")
    program.chmod(0o755)
    job = Job(Path("a"), Path("b"), "c", 1)
    task = asyncio.ensure_future(Workers(str(program)).compile([job]))
    pids = tmp_path / "pids"
    while not pids.exists() or not pids.read_text().endswith("\n"):
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


async def test_interpreters_are_found_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is known without starting it; others are asked what they are."""
    compilers = Compilers("uv-that-is-missing", {})
    ours = f"{sys.version_info.major}.{sys.version_info.minor}"
    programs = started(monkeypatch)
    found = await compilers.find(ours)
    assert found is not None
    assert found.tag == f"{CACHE_TAG}-{ours}.{sys.version_info.micro}"
    assert await compilers.find(ours) is found
    assert not programs
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho {sys.executable}\n")
    uv.chmod(0o755)
    assert await Compilers(str(uv), environment()).find("3.0") is None
    monkeypatch.setattr(sys, "version_info", type("V", (), {"major": 3, "minor": 1}))
    asked = await Compilers(str(uv), environment()).find(ours)
    assert asked == found
    uv.write_text("#!/bin/sh\nexit 2\n")
    assert await Compilers(str(uv), environment()).find(ours) is None
