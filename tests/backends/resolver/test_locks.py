"""Locks that users bring are taken as they are, for the target."""

import asyncio
import hashlib
import subprocess
import sys
from collections.abc import Callable

import pytest
from uv import find_uv_bin

from aweigh.errors import ResolveError, SpecError
from aweigh.image.lock import Lock
from aweigh.image.spec import ImageSpec
from tests.backends.resolver.place import AMD, Place, make_dist

Versions = Callable[[Lock], dict[str, str]]


def _entry(name: str, version: str, *files: str, marker: str = "") -> str:
    wheels = ", ".join(
        f'{{ url = "https://files.example/{one}", size = 7, hashes = {{ sha256 = '
        f'"{hashlib.sha256(one.encode()).hexdigest()}" }} }}'
        for one in files
    )
    told = f'marker = "{marker}"\n' if marker else ""
    return (
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n{told}'
        f"wheels = [{wheels}]\n"
    )


def _lock(place: Place) -> None:
    subprocess.run(
        [find_uv_bin(), "lock", "-q", "--python", sys.executable],
        cwd=place.root,
        env=place.environ | {"UV_DEFAULT_INDEX": place.index.url},
        check=True,
        timeout=60,
    )


def _write(place: Place, name: str, *entries: str) -> None:
    head = 'lock-version = "1.0"\ncreated-by = "x"\n'
    (place.root / name).write_text(head + "".join(entries))


async def test_a_lock_is_taken_as_it_is(place: Place, spec: ImageSpec) -> None:
    """Markers and tags choose for the target; nothing is resolved or downloaded."""
    _write(
        place,
        "pylock.toml",
        _entry(
            "nat",
            "1.0",
            "nat-1.0-cp312-cp312-manylinux_2_28_aarch64.whl",
            "nat-1.0-cp312-cp312-manylinux_2_17_x86_64.whl",
            "nat-1.0-cp312-cp312-win_amd64.whl",
        ),
        _entry(
            "old", "1.0", "old-1.0-py3-none-any.whl", marker="python_version < '3.12'"
        ),
        _entry(
            "old", "2.0", "old-2.0-py3-none-any.whl", marker="python_version >= '3.12'"
        ),
        _entry(
            "win", "1.0", "win-1.0-py3-none-any.whl", marker="sys_platform == 'win32'"
        ),
    )
    wanted = spec.with_lock("pylock.toml")
    lock = await place.resolve(wanted)
    assert [(one.name, one.version, one.size) for one in lock.wheels] == [
        ("nat", "1.0", 7),
        ("old", "2.0", 7),
    ]
    assert lock.wheels[0].url.endswith("nat-1.0-cp312-cp312-manylinux_2_28_aarch64.whl")
    other = await place.resolve(wanted, platform=AMD)
    assert other.wheels[0].filename.endswith("x86_64.whl")
    assert place.index.asked == []


async def test_an_empty_lock_adds_nothing(place: Place, spec: ImageSpec) -> None:
    """A lock may be of no packages."""
    _write(place, "pylock.toml")
    assert (await place.resolve(spec.with_lock("pylock.toml"))).wheels == ()


async def test_nothing_for_the_target_in_a_lock(place: Place, spec: ImageSpec) -> None:
    """The package and its files are named."""
    _write(place, "pylock.toml", _entry("nat", "1.0", "nat-1.0-cp312-none-win32.whl"))
    with pytest.raises(ResolveError, match="nat") as caught:
        await place.resolve(spec.with_lock("pylock.toml"))
    assert "nat" in caught.value.requirement


async def test_two_locks_must_agree(place: Place, spec: ImageSpec) -> None:
    """One environment has one version: a conflict names both steps."""
    _write(place, "pylock.toml", _entry("a", "1.0", "a-1.0-py3-none-any.whl"))
    _write(place, "pylock.b.toml", _entry("a", "2.0", "a-2.0-py3-none-any.whl"))
    wanted = spec.with_lock("pylock.toml").with_lock("pylock.b.toml")
    with pytest.raises(SpecError, match=r"steps 0 and 1 lock different files of a"):
        await place.resolve(wanted)
    same = spec.with_lock("pylock.toml").with_lock("pylock.toml")
    (found,) = (await place.resolve(same)).wheels
    assert found.step == 0


async def test_a_lock_binds_all_other_steps(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """Also steps before it: a lock cannot give way."""
    place.add("dep")
    place.add("dep", "2.0")
    place.add("user", requires=["dep"])
    digest = hashlib.sha256((place.dist / "dep-1.0-py3-none-any.whl").read_bytes())
    url = f"http://{place.index.host}/files/dep-1.0-py3-none-any.whl"
    (place.root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "dep"\n'
        f'version = "1.0"\nwheels = [{{ url = "{url}", hashes = {{ sha256 = '
        f'"{digest.hexdigest()}" }} }}]\n'
    )
    lock = await place.resolve(spec.with_packages("user").with_lock("pylock.toml"))
    assert versions(lock) == {"user": "1.0", "dep": "1.0"}
    assert {one.name: one.step for one in lock.wheels} == {"user": 0, "dep": 1}


async def test_a_project_lock_is_exported(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """uv.lock decides, with the chosen extras and groups, and no others."""
    for name in ("a", "b", "c", "d", "w"):
        place.add(name)
    (place.root / "pyproject.toml").write_text(
        '[project]\nname = "acme"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["a", "w; sys_platform == \'win32\'"]\n'
        '[project.optional-dependencies]\nex = ["b"]\nother = ["d"]\n'
        '[dependency-groups]\ndev = ["c"]\n'
    )
    await asyncio.to_thread(_lock, place)
    place.add("a", "2.0")
    plain = await place.resolve(spec.with_project("."))
    assert versions(plain) == {"a": "1.0"}
    chosen = spec.with_project(".", extras=["ex"], groups=["dev"], install_project=True)
    lock = await place.resolve(chosen)
    assert versions(lock) == {"a": "1.0", "b": "1.0", "c": "1.0"}
    assert all(one.url.startswith("http://") for one in lock.wheels)


async def test_a_project_lock_with_own_wheels(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """A local project of the lock comes as the user's wheel, with its dependencies."""
    place.add("a")
    make_dist(place.root / "own", "lib", requires=["a"])
    lib = place.root / "lib"
    lib.mkdir()
    (lib / "pyproject.toml").write_text(
        '[project]\nname = "lib"\nversion = "1.0"\nrequires-python = ">=3.11"\n'
        'dependencies = ["a"]\n'
    )
    (place.root / "pyproject.toml").write_text(
        '[project]\nname = "acme"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["lib"]\n[tool.uv.sources]\nlib = { path = "lib" }\n'
    )
    await asyncio.to_thread(_lock, place)
    lock = await place.resolve(spec.with_project(".").with_wheel("own/*.whl"))
    assert versions(lock) == {"a": "1.0", "lib": "1.0"}
    assert [one.name for one in lock.wheels if one.first_party] == ["lib"]
