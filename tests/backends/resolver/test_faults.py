"""What goes wrong is told in one line, with the requirement and without secrets."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from aweigh.backends.resolver import Uv, UvResolver
from aweigh.backends.resolver.faults import explain, scrub
from aweigh.errors import ResolveError, SpecError
from aweigh.image.spec import ImageSpec
from aweigh.oci import Platform
from tests.backends.resolver.place import Place, make_dist

SECRET = "hunter2canary"
NO_SOLUTION = "No solution found when resolving dependencies\n  cause:"
REQUIRED = "and you require x>=1,<2, we can conclude"


async def test_a_missing_package_is_named(place: Place, spec: ImageSpec) -> None:
    """The requirement that nobody has is in the message and an attribute."""
    with pytest.raises(ResolveError, match=r"no version fits \(nowhere>3\)") as caught:
        await place.resolve(spec.with_packages("nowhere>3"))
    assert caught.value.requirement == "nowhere>3"
    assert "loosen" in caught.value.hint
    assert place.leftovers() == []


async def test_a_conflict_is_named(place: Place, spec: ImageSpec) -> None:
    """A conflict shows who wants what."""
    place.add("dep")
    place.add("dep", "2.0")
    place.add("user", requires=["dep>=2"])
    with pytest.raises(ResolveError, match="user") as caught:
        await place.resolve(spec.with_packages("user", "dep<2"))
    assert caught.value.requirement in {"user", "dep<2"}
    assert str(place.root) not in str(caught.value)


async def test_a_wheel_for_another_python(place: Place, spec: ImageSpec) -> None:
    """A package for newer Pythons says so, and what to change."""
    place.add("newer", python=">=3.14")
    with pytest.raises(ResolveError, match="not for this Python") as caught:
        await place.resolve(spec.with_packages("newer"))
    assert caught.value.requirement == "newer"
    assert "python=" in caught.value.hint


async def test_a_wheel_for_another_platform(place: Place, spec: ImageSpec) -> None:
    """Without a wheel and without source, the platform is the reason."""
    place.add("nat", tag="cp312-cp312-manylinux_2_17_x86_64")
    with pytest.raises(ResolveError, match="nat"):
        await place.resolve(spec.with_packages("nat"))


async def test_a_bad_requirement(place: Place, spec: ImageSpec) -> None:
    """A line that the grammar lets through and uv does not is the spec's fault."""
    place.add("nat")
    (place.root / "r.txt").write_text("nat ; nonsense\n")
    with pytest.raises(SpecError, match="cannot be read"):
        await place.resolve(spec.with_requirements("r.txt"))


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_never_shown(
    place: Place, spec: ImageSpec, status: int
) -> None:
    """The index's own words are kept, the password is not."""
    place.index.status = status
    url = place.index.url.replace("http://", f"http://user:{SECRET}@")
    resolver = UvResolver(place.uv(UV_DEFAULT_INDEX=url))
    with pytest.raises(ResolveError, match="wants other credentials") as caught:
        await resolver.resolve(place.request(spec.with_packages("a")))
    assert SECRET not in f"{caught.value!r}{caught.value}{caught.value.hint}"
    assert caught.value.requirement == "a"


async def test_credentials_of_the_environment_are_used_and_forgotten(
    place: Place, spec: ImageSpec
) -> None:
    """A private index is read with them, and the lock does not have them."""
    place.add("a")
    place.index.password = SECRET
    url = place.index.url.replace("http://", f"http://user:{SECRET}@")
    resolver = UvResolver(place.uv(UV_DEFAULT_INDEX=url))
    lock = await resolver.resolve(place.request(spec.with_packages("a")))
    assert [one.name for one in lock.wheels] == ["a"]
    assert SECRET not in repr(lock)


@pytest.mark.parametrize("status", [500, 503])
async def test_an_index_that_fails(place: Place, spec: ImageSpec, status: int) -> None:
    """Nobody is blamed but the index."""
    place.index.status = status
    with pytest.raises(ResolveError, match="gave no answer") as caught:
        await place.resolve(spec.with_packages("a"))
    assert place.index.host in str(caught.value)


async def test_an_index_that_is_not_there(place: Place, spec: ImageSpec) -> None:
    """A refused connection is the same to the user."""
    resolver = UvResolver(place.uv(UV_DEFAULT_INDEX="http://127.0.0.1:9/simple"))
    with pytest.raises(ResolveError, match="gave no answer"):
        await resolver.resolve(place.request(spec.with_packages("a")))


async def test_a_deadline_ends_it(place: Place, spec: ImageSpec) -> None:
    """An index that never answers does not hold the caller; nothing stays behind."""
    place.index.delay = 3.0
    resolver = UvResolver(place.uv(), seconds=0.5)
    with pytest.raises(ResolveError, match=r"not pinned within 0\.5 s"):
        await resolver.resolve(place.request(spec.with_packages("a")))
    assert place.leftovers() == []


async def test_cancelling_kills_all_that_was_started(
    place: Place, spec: ImageSpec
) -> None:
    """Uv and its children are gone at once, and the directory too."""
    place.root.joinpath("bin").mkdir()
    program = place.root / "bin" / "uv"
    pids = place.root / "pids"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, subprocess, sys, time\n"
        "if '--version' in sys.argv: print('uv 0.13.9 (x)'); sys.exit()\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "time.sleep(60)\n"
    )
    program.chmod(0o755)
    resolver = UvResolver(Uv(place.environ, binary=str(program)))
    task = asyncio.create_task(resolver.resolve(place.request(spec.with_packages("a"))))
    while not pids.exists() or not pids.read_text().endswith("\n"):
        await asyncio.sleep(0.01)
    begin = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begin < 1
    for pid in map(int, pids.read_text().split()):
        assert _is_gone(pid)
    assert place.leftovers() == []


def _is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("said", "shown"), [("uv 0.12.1 (x)", "0.12.1"), ("what", "something else")]
)
async def test_another_uv_is_refused(
    place: Place, spec: ImageSpec, said: str, shown: str
) -> None:
    """The formats of other minor versions are not known."""
    program = place.root / "uv"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    resolver = UvResolver(Uv(place.environ, binary=str(program)))
    with pytest.raises(ResolveError, match=rf"needed.*this is {shown}"):
        await resolver.resolve(place.request(spec.with_packages("a")))


async def test_a_missing_uv(place: Place, spec: ImageSpec) -> None:
    """It says what to install."""
    resolver = UvResolver(Uv(place.environ, binary=str(place.root / "none")))
    with pytest.raises(ResolveError, match="uv does not run"):
        await resolver.resolve(place.request(spec.with_packages("a")))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"platform": Platform("linux", "s390x")}, "cannot be pinned for linux/s390x"),
        ({"python": "3"}, "no Python version"),
        ({"manylinux": "glibc"}, "no libc"),
        ({"manylinux": "manylinux_2_5"}, "no wheels are made"),
    ],
)
async def test_targets_that_nothing_is_made_for(
    place: Place, spec: ImageSpec, changes: dict[str, object], reason: str
) -> None:
    """They are refused before uv is asked."""
    with pytest.raises(SpecError, match=reason):
        await place.resolve(spec.with_packages("a"), **changes)
    assert place.leftovers() == []


async def test_files_that_the_spec_does_not_name(place: Place, spec: ImageSpec) -> None:
    """A local index in the environment is on no other machine."""
    make_dist(place.root / "local" / "a", "a")
    (place.root / "local" / "a" / "index.html").write_text(
        '<a href="a-1.0-py3-none-any.whl">a-1.0-py3-none-any.whl</a>'
    )
    resolver = UvResolver(place.uv(UV_DEFAULT_INDEX=f"file://{place.root}/local"))
    with pytest.raises(ResolveError, match="a file of this machine"):
        await resolver.resolve(place.request(spec.with_packages("a")))


def test_userinfo_is_taken_out_of_every_url() -> None:
    """Whatever the scheme; what is no userinfo stays."""
    text = f"at https://u:{SECRET}@host/a@b, git+ssh://git@host/x, http://t{SECRET}@h"
    assert scrub(text) == (
        "at https://***@host/a@b, git+ssh://***@host/x, http://***@h"
    )


@pytest.mark.parametrize(
    ("said", "meaning", "requirement"),
    [
        ("error: invalid peer certificate: UnknownIssuer", "a certificate", ""),
        ("error: Failed to build `x==1`\n  cause: no", "source distribution", "x==1"),
        ("error: something new", "uv could not pin", ""),
        (f"error: {'x' * 3000}", r"xxx\.\.\.", ""),
        (
            f"error: {NO_SOLUTION} Because x has no usable wheels {REQUIRED}",
            "no wheel for this platform",
            "x>=1,<2",
        ),
    ],
)
def test_what_uv_says_is_understood(said: str, meaning: str, requirement: str) -> None:
    """Each cause has its own words."""
    error = explain(f"warning: noise\n  cause: more\n{said}\n", "/nowhere")
    assert isinstance(error, ResolveError)
    with pytest.raises(ResolveError, match=meaning):
        raise error
    assert error.requirement == requirement
    assert "noise" not in str(error)
    assert "more" not in str(error)
    assert os.linesep not in str(error)
