"""Local projects: their wheels are pinned as first-party, what they need as usual."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.backends.resolver import UvResolver
from aweigh.errors import SpecError
from aweigh.image.lock import Lock
from aweigh.image.snapshot import Snapshot
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest
from tests.backends.resolver.place import Place, make_dist
from tests.image.trees import make_tree

Versions = Callable[[Lock], dict[str, str]]


def built(snapshot: Snapshot, wheels: dict[str, Path]) -> Snapshot:
    """Put wheels where the sources of local projects were."""
    members = [
        Member(
            path=f"{place}/{path.name}",
            kind="file",
            size=path.stat().st_size,
            source=path,
            digest=Digest.of(path.read_bytes()),
        )
        for place, path in wheels.items()
    ]
    kept = (
        one
        for one in snapshot.members
        if "/local/" not in one.path and "/project" not in one.path
    )
    return replace(snapshot, members=(*kept, *members))


async def resolve(place: Place, spec: ImageSpec, wheels: dict[str, Path]) -> Lock:
    """Resolve a spec whose local projects were built to these wheels."""
    request = place.request(spec)
    changed = replace(request, snapshot=built(request.snapshot, wheels))
    return await UvResolver(place.uv(), seconds=60).resolve(changed)


async def test_requirements_for_local_projects(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """Extras count, markers too; whatever step names it, a project is there once."""
    for name in ("six", "idna", "extra"):
        place.add(name)
    make_tree(
        place.root,
        {
            "mine/setup.py": "",
            "other/setup.py": "",
            "r.txt": "-e ./mine\n./other ; sys_platform == 'win32'\n-r s.txt\n",
            "s.txt": "six\n",
        },
    )
    mine = make_dist(
        place.root / "w", "mine", "3",
        requires=["idna", "extra; extra == 'x'"], extras=["x"],
    )  # fmt: skip
    other = make_dist(place.root / "w", "other", "4")
    chosen = spec.with_packages("./mine[x]").with_requirements("r.txt")

    lock = await resolve(
        place,
        chosen,
        {
            "steps/0/local/0": mine,
            "steps/1/local/0": mine,
            "steps/1/local/1": other,
        },
    )

    found = {one.name: one for one in lock.wheels}
    assert versions(lock) == {"mine": "3", "idna": "1.0", "extra": "1.0", "six": "1.0"}
    assert found["mine"].first_party
    assert found["mine"].url == f"steps/0/local/0/{mine.name}"
    assert found["mine"].digest == Digest.of(mine.read_bytes())
    assert lock.wheels[-1] == found["mine"]
    assert (found["six"].step, found["extra"].step) == (1, 0)


async def test_a_project_and_what_it_depends_on(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """Without a lock its table is resolved, and its wheel is there too."""
    place.add("idna")
    text = '[project]\nname = "app"\nversion = "1"\ndependencies = ["idna"]\n'
    settings = "[tool.uv]\npackage = true\n"
    make_tree(
        place.root,
        {"a/pyproject.toml": text, "b/pyproject.toml": text + settings},
    )
    app = make_dist(place.root / "w", "app", "1", requires=["idna"])
    for directory in ("a", "b"):
        chosen = spec.with_project(directory, install_project=True)
        lock = await resolve(place, chosen, {"steps/0/local/project": app})
        assert versions(lock) == {"idna": "1.0", "app": "1"}
        assert [one.first_party for one in lock.wheels] == [False, True]


LOCK = """
version = 1
requires-python = ">=3.11"
[[package]]
name = "app"
version = "1"
source = { editable = "." }
dependencies = [
  { name = "near" }, { name = "loose" },
  { name = "windows", marker = "sys_platform == 'win32'" },
]
[[package]]
name = "near"
version = "2"
source = { directory = "../near" }
dependencies = [{ name = "idna" }]
[[package]]
name = "loose"
version = "5"
source = { virtual = "../loose" }
[[package]]
name = "windows"
version = "2"
source = { editable = "../windows" }
[[package]]
name = "idna"
version = "1.0"
source = { registry = "INDEX" }
wheels = [
  { url = "FILE", hash = "sha256:DIGEST" },
]
"""


@pytest.mark.parametrize("install", [True, False])
async def test_local_projects_of_a_lock(
    place: Place, spec: ImageSpec, versions: Versions, *, install: bool
) -> None:
    """They are what the lock says, under its markers, and nothing is resolved."""
    idna = place.add("idna")
    place.add("idna", "2.0")
    text = (
        LOCK.replace("INDEX", place.index.url)
        .replace("FILE", f"http://{place.index.host}/files/{idna.name}")
        .replace("DIGEST", Digest.of(idna.read_bytes()).hex)
    )
    needs = 'dependencies = ["near", "loose", "windows; sys_platform == \'win32\'"]\n'
    make_tree(
        place.root,
        {
            "app/pyproject.toml": '[project]\nname = "app"\nversion = "1"\n'
            f'requires-python = ">=3.11"\n{needs}',
            "app/uv.lock": text,
            "near/setup.py": "",
            "windows/setup.py": "",
        },
    )
    wheels = {
        "steps/0/local/0": make_dist(place.root / "w", "near", "2", requires=["idna"]),
        "steps/0/local/1": make_dist(place.root / "w", "windows", "2"),
    }
    if install:
        wheels["steps/0/local/project"] = make_dist(
            place.root / "w", "app", "1", requires=["near", "loose"]
        )
    chosen = spec.with_project("app", install_project=install)

    lock = await resolve(place, chosen, wheels)

    wanted = {"idna": "1.0", "near": "2"} | ({"app": "1"} if install else {})
    assert versions(lock) == wanted
    assert {one.name for one in lock.wheels if one.first_party} == set(wanted) - {
        "idna"
    }


async def test_local_projects_of_a_pylock(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """Directories and archives become wheels; local wheels are what they were."""
    two = make_dist(place.root / "lock", "two", "2")
    digest = Digest.of(two.read_bytes()).hex
    make_tree(
        place.root,
        {
            "mine/setup.py": "",
            "lock/own-1.zip": "",
            "lock/pylock.toml": 'lock-version = "1.0"\ncreated-by = "t"\n'
            '[[packages]]\nname = "mine"\n'
            'directory = { path = "../mine", editable = true }\n'
            '[[packages]]\nname = "own"\nversion = "1"\n'
            'archive = { path = "own-1.zip", hashes = {} }\n'
            '[[packages]]\nname = "two"\nversion = "2"\nwheels = '
            f'[{{ path = "{two.name}", hashes = {{ sha256 = "{digest}" }} }}]\n',
        },
    )
    lock = await resolve(
        place,
        spec.with_lock("lock/pylock.toml"),
        {
            "steps/0/local/0": make_dist(place.root / "w", "mine", "3"),
            "steps/0/local/1": make_dist(place.root / "w", "own", "1"),
            "steps/0/local/2": two,
        },
    )
    assert versions(lock) == {"mine": "3", "own": "1", "two": "2"}
    assert all(one.first_party for one in lock.wheels)


async def test_a_local_wheel_for_something_else(place: Place, spec: ImageSpec) -> None:
    """One that the user names must fit the target."""
    wheel = make_dist(place.root, "mine", tag="cp39-cp39-win_amd64")
    with pytest.raises(SpecError, match="is not for linux/arm64"):
        await resolve(
            place, spec.with_packages(f"./{wheel.name}"), {"steps/0/local/0": wheel}
        )
