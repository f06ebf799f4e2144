"""Assembled images of real packages, judged by tools that are not ours."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aweigh import Settings, open_session
from aweigh.events import Warned
from aweigh.testing import RecordingListener
from tests.packages.sets import SETS, PackageSet
from tests.packages.tools import Container, inspect, plain_install, unpack
from tests.packages.trees import files_of, modules_of, scripts_of

PER_SET = [
    pytest.param(one, id=one.name, marks=[] if one.quick else pytest.mark.packages)
    for one in SETS
]
MEGABYTE = 1_000_000
Facts = Mapping[str, str | list[str]]


async def assemble(packages: PackageSet, base: str, registry: str, place: Path) -> str:
    """Assemble a set without an engine; return the image by digest."""
    settings = Settings(
        registry=f"{registry}/packages",
        engine=f"unix://{place}/no.sock",
        builder="assemble",
        cache_dir=place / "cache",
        data_dir=place / "data",
    )
    heard = RecordingListener()
    async with open_session(settings, listener=heard) as session:
        image = str(await session.ensure_image(packages.spec(base)))
    for warning in heard.of(Warned):
        print(packages.name, "warned:", warning.message)
    return image


def both_ways(ours: Facts, theirs: Facts) -> tuple[Facts, Facts]:
    """Return what only one of two has, or has otherwise, for each."""
    return only_in(ours, theirs), only_in(theirs, ours)


def only_in(one: Facts, other: Facts) -> Facts:
    """Return what the other has not, or has otherwise."""
    found: dict[str, str | list[str]] = {}
    for name, value in one.items():
        there = other.get(name)
        if isinstance(value, list) and isinstance(there, list):
            more = sorted({*value} - {*there})
            if more:
                found[name] = more
        elif value != there:
            found[name] = value
    return found


@contextmanager
def pulled(bare: Container, image: str) -> Iterator[Container]:
    """Let the engine pull an image, and forget it in the end."""
    try:
        bare.engine.pull(image)
        yield replace(bare, image=image)
    finally:
        bare.engine.forget(image)


def look_at_both(ours: Container, plain: Container) -> int:
    """Compare metadata both ways, and RECORD with the files; count distributions.

    Raises:
        AssertionError: Something differs, or pip finds something missing.
    """
    found, expected = ours.look(), plain.look()
    assert both_ways(found.metadata, expected.metadata) == ({}, {})
    wrong = [key for key in found.metadata if key.endswith(": wrong")]
    assert {key: found.metadata[key] for key in wrong if found.metadata[key]} == {}
    assert ours.uncompiled() == []
    assert found.check == expected.check == [0, "No broken requirements found."]
    return len(wrong)


def try_both(what: str, names: list[str], ours: Container, plain: Container) -> str:
    """Try modules or scripts; count them, and name what fails in both.

    Raises:
        AssertionError: One fails otherwise than with a plain install.
    """
    tried = ours.try_all(what, names)
    failed = {name: told for name, told in tried.items() if told[0]}
    theirs = plain.try_all(what, sorted(failed))
    worse = {
        name: (told, theirs[name])
        for name, told in failed.items()
        if theirs[name][0] != told[0]
    }
    assert worse == {}
    for name, told in failed.items():
        print(f"{name} ({what}) fails in both: {told}")
    if not failed:
        return str(len(names))
    return f"{len(names) - len(failed)} + {len(failed)} ({', '.join(sorted(failed))})"


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("packages", PER_SET)
async def test_set_is_what_a_plain_install_gives(
    packages: PackageSet,
    bare: Container,
    own_registry: str,
    place: Path,
    rows: list[str],
) -> None:
    """Foreign tools read the image, and it holds, imports and runs what pip's does."""
    started = time.perf_counter()
    image = await assemble(packages, bare.image, own_registry, place)
    assembled = time.perf_counter() - started
    root, sizes = unpack(image, place / "foreign")
    assert len(inspect(image)["Layers"]) == len(sizes)
    venv = root / "opt" / "venv"
    plain = plain_install(bare, venv / "pylock.toml", place / "plain", packages)
    files = files_of(venv), files_of(plain.mounts["venv"])
    assert both_ways(*files) == ({}, {})
    with pulled(bare, image) as ours:
        described = look_at_both(ours, plain)
        modules = try_both("imports", modules_of(venv), ours, plain)
        scripts = try_both("scripts", scripts_of(venv), ours, plain)
    row = (
        packages.name,
        " ".join(packages.requirements),
        described,
        len(sizes),
        f"{sum(sizes) / MEGABYTE:.0f} MB",
        f"{assembled:.0f} s",
        f"{time.perf_counter() - started:.0f} s",
        modules,
        scripts,
    )
    rows.append(f"| {' | '.join(map(str, row))} |")
