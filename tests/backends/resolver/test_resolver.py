"""What uv pins for a spec, from indexes of tiny wheels."""

import asyncio
import hashlib
import io
import subprocess
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from aweigh.backends.resolver import Uv, UvResolver
from aweigh.errors import ResolveError, SpecError
from aweigh.image.lock import Lock
from aweigh.image.spec import ImageSpec
from tests.backends.resolver.place import AMD, Place, make_dist

Versions = Callable[[Lock], dict[str, str]]


async def test_packages_are_pinned_with_what_they_need(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """A lock has every wheel with digest, size, file name, place and step."""
    wheel = make_dist(place.root / "links", "heavy")
    place.add("light", requires=["heavy>=1"])
    lock = await place.resolve(spec.with_packages("light", find_links=["links"]))
    assert versions(lock) == {"heavy": "1.0", "light": "1.0"}
    heavy = lock.wheels[0]
    assert heavy.filename == wheel.name
    assert heavy.url == f"steps/0/links/0/{wheel.name}"
    assert heavy.digest.hex == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert heavy.size == wheel.stat().st_size
    assert heavy.is_wheel
    assert not heavy.first_party
    assert place.leftovers() == []


async def test_text_is_a_lock_that_names_no_place_of_this_machine(
    place: Place, spec: ImageSpec
) -> None:
    """The text parses as PEP 751 and is equal for equal resolutions."""
    make_dist(place.root / "links", "heavy")
    wanted = spec.with_packages("heavy", find_links=["links"])
    lock = await place.resolve(wanted)
    document = tomllib.loads(lock.text)
    assert document["lock-version"] == "1.0"
    assert document["requires-python"] == "==3.12.*"
    assert document["packages"][0]["wheels"][0]["path"] == lock.wheels[0].url
    assert str(place.root) not in lock.text
    assert (await place.resolve(wanted)).text == lock.text


async def test_platforms_have_their_own_wheels(place: Place, spec: ImageSpec) -> None:
    """The best wheel of the target is chosen, whatever machine this is."""
    for tag in (
        "py3-none-any",
        "cp312-cp312-manylinux_2_17_x86_64",
        "cp312-cp312-manylinux_2_17_aarch64",
        "cp312-cp312-manylinux_2_28_aarch64",
        "cp312-cp312-manylinux_2_39_aarch64",
        "cp312-cp312-musllinux_1_2_aarch64",
    ):
        place.add("nat", tag=tag)
    wanted = spec.with_packages("nat", find_links=["dist"])
    (arm,) = (await place.resolve(wanted)).wheels
    (amd,) = (await place.resolve(wanted, platform=AMD)).wheels
    (musl,) = (await place.resolve(wanted, manylinux="musllinux_1_2")).wheels
    (other,) = (await place.resolve(wanted, python="3.13")).wheels
    assert arm.filename == "nat-1.0-cp312-cp312-manylinux_2_28_aarch64.whl"
    assert amd.filename == "nat-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    assert musl.filename == "nat-1.0-cp312-cp312-musllinux_1_2_aarch64.whl"
    assert other.filename == "nat-1.0-py3-none-any.whl"


async def test_adding_a_package_upgrades_nothing(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """The previous lock keeps versions though newer ones appeared; upgrade moves."""
    place.add("heavy")
    wanted = spec.with_packages("heavy", find_links=["dist"])
    first = await place.resolve(wanted)
    place.add("heavy", "2.0")
    place.add("light", requires=["heavy"])
    more = spec.with_packages("heavy", "light", find_links=["dist"])
    second = await place.resolve(more, previous=first.text)
    assert versions(second) == {"heavy": "1.0", "light": "1.0"}
    assert second.wheels[0] == first.wheels[0]
    moved = await place.resolve(more, previous=first.text, upgrade=True)
    assert versions(moved) == {"heavy": "2.0", "light": "1.0"}
    alone = await place.resolve(more)
    assert versions(alone) == {"heavy": "2.0", "light": "1.0"}


async def test_previous_gives_way_to_requirements(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """A version that was pinned before is a wish, not a constraint."""
    place.add("heavy")
    wanted = spec.with_packages("heavy", find_links=["dist"])
    first = await place.resolve(wanted)
    place.add("heavy", "2.0")
    more = spec.with_packages("heavy>1", find_links=["dist"])
    assert versions(await place.resolve(more, previous=first.text)) == {"heavy": "2.0"}


async def test_every_kind_of_step_is_one_resolution(
    place: Place, versions: Versions
) -> None:
    """Steps with equal indexes are resolved together, and each wheel knows its own."""
    for name in ("a", "b", "c", "d", "e", "f"):
        place.add(name)
    place.add("shared")
    place.add("shared", "2.0")
    place.add("wants", requires=["shared<2"])
    (place.root / "more.txt").write_text("-r other.txt\nb\n")
    (place.root / "other.txt").write_text("shared\n")
    (place.root / "run.py").write_text('# /// script\n# dependencies = ["c"]\n# ///\n')
    (place.root / "pyproject.toml").write_text(
        '[project]\nname = "acme"\nversion = "1"\ndependencies = ["d"]\n'
        '[project.optional-dependencies]\nex = ["e"]\n'
        '[dependency-groups]\ndev = ["f"]\n'
    )
    make_dist(place.root / "own", "mine", requires=["wants"])
    script = ImageSpec.from_script("run.py", name="app", base="python:3.12-slim")
    wanted = (
        script.with_wheel("own/*.whl")
        .with_packages("a")
        .with_requirements("more.txt")
        .with_project(".", extras=["ex"], groups=["dev"])
    )
    lock = await place.resolve(wanted)
    steps = {one.name: one.step for one in lock.wheels}
    assert steps == {
        "c": 0,
        "mine": 1,
        "wants": 1,
        "shared": 1,
        "a": 2,
        "b": 3,
        "d": 4,
        "e": 4,
        "f": 4,
    }
    assert versions(lock)["shared"] == "1.0"
    assert [one.name for one in lock.wheels if one.first_party] == ["mine"]
    assert lock.wheels[-1].name == "mine"
    assert lock.wheels[-1].url == "steps/1/wheels/mine-1.0-py3-none-any.whl"


async def test_later_indexes_are_bound_by_earlier_ones(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """A later resolution takes what is pinned, also what its index lacks."""
    make_dist(place.root / "one", "torch", "2.0+cpu", requires=["numpy"])
    make_dist(place.root / "one", "numpy", "1.5")
    make_dist(place.root / "two", "numpy", "9.0")
    make_dist(place.root / "two", "trans", requires=["torch>=2", "numpy"])
    lock = await place.resolve(
        spec.with_packages("torch", find_links=["one"]).with_packages(
            "trans", find_links=["two"]
        )
    )
    assert versions(lock) == {"numpy": "1.5", "torch": "2.0+cpu", "trans": "1.0"}
    assert {one.name: one.step for one in lock.wheels} == {
        "numpy": 0,
        "torch": 0,
        "trans": 1,
    }
    assert "torch-2.0+cpu-py3-none-any.whl" in {one.filename for one in lock.wheels}
    assert all(one.url.startswith(f"steps/{one.step}/links/0/") for one in lock.wheels)


async def test_own_wheels_are_never_taken_from_an_index(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """A step with another index gets the user's wheel, not a stranger's of its name."""
    make_dist(place.root / "own", "mine", "1.0", requires=["dep"])
    make_dist(place.root / "other", "mine", "9.0")
    make_dist(place.root / "other", "user", requires=["mine"])
    make_dist(place.root / "other", "dep")
    place.add("dep")
    lock = await place.resolve(
        spec.with_packages("user", find_links=["other"]).with_wheel("own/*.whl")
    )
    assert versions(lock) == {"dep": "1.0", "user": "1.0", "mine": "1.0"}
    assert [one.name for one in lock.wheels if one.first_party] == ["mine"]
    assert lock.wheels[-1].step == 1


async def test_the_wheel_for_the_target_is_chosen_among_own_ones(
    place: Place, spec: ImageSpec
) -> None:
    """Wheels for other platforms may lie beside it; without one, it says so."""
    own = place.root / "own"
    make_dist(own, "mine", tag="cp312-cp312-manylinux_2_17_x86_64")
    wanted = spec.with_wheel("own/*.whl")
    with pytest.raises(SpecError, match=r"none of mine-1\.0.*is for linux/arm64"):
        await place.resolve(wanted)
    make_dist(own, "mine", tag="cp312-cp312-manylinux_2_17_aarch64")
    (found,) = (await place.resolve(wanted)).wheels
    assert found.filename == "mine-1.0-cp312-cp312-manylinux_2_17_aarch64.whl"


async def test_hashes_of_requirements_are_honoured(
    place: Place, spec: ImageSpec
) -> None:
    """Only a file with a named hash is chosen; without one, it is an error."""
    plain = place.add("nat")
    place.add("nat", tag="cp312-cp312-manylinux_2_17_aarch64")
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()
    path = place.root / "r.txt"
    path.write_text(f"nat==1.0 \\\n    --hash=sha256:{digest}\n")
    wanted = spec.with_requirements("r.txt", find_links=["dist"])
    (found,) = (await place.resolve(wanted)).wheels
    assert found.filename == plain.name
    path.write_text(f"nat==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(ResolveError, match=r"nat 1\.0 has nothing"):
        await place.resolve(wanted)


async def test_lines_of_requirements_may_name_their_own_index(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """A file with index options is a resolution of its own."""
    place.add("a")
    place.add("b", "2.0rc1")
    (place.root / "r.txt").write_text("--pre\nb\n")
    lock = await place.resolve(
        spec.with_packages("a", find_links=["dist"]).with_requirements(
            "r.txt", find_links=["dist"]
        )
    )
    assert versions(lock) == {"a": "1.0", "b": "2.0rc1"}


async def test_pre_releases_are_allowed_when_asked_for(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """pre=True takes the newest, pre-release or not."""
    place.add("a")
    place.add("a", "2.0b1")
    stable = spec.with_packages("a", find_links=["dist"])
    assert versions(await place.resolve(stable)) == {"a": "1.0"}
    newest = spec.with_packages("a", find_links=["dist"], pre=True)
    assert versions(await place.resolve(newest)) == {"a": "2.0b1"}


async def test_projects_with_different_extras_do_not_mix(
    place: Place, spec: ImageSpec, versions: Versions
) -> None:
    """The extra of one project is not chosen of another."""
    for name in ("x", "y"):
        place.add(name)
        folder = place.root / f"p{name}"
        folder.mkdir()
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "p{name}"\nversion = "1"\n'
            f'[project.optional-dependencies]\nx = ["x"]\ny = ["y"]\n'
        )
    lock = await place.resolve(
        spec.with_project("px", extras=["x"]).with_project("py", extras=["x"])
    )
    assert versions(lock) == {"x": "1.0"}
    both = await place.resolve(
        spec.with_project("px", extras=["x"]).with_project("py", extras=["y"])
    )
    assert {one.name: one.step for one in both.wheels} == {"x": 0, "y": 1}


@pytest.mark.parametrize("kind", ["project", "script"])
async def test_settings_of_a_project_or_script_count(
    place: Place, spec: ImageSpec, versions: Versions, kind: str
) -> None:
    """Its own indexes and constraints hold for it, and not for other steps."""
    for version in ("1.0", "2.0", "3.0"):
        place.add("b", version)
    place.add("a", requires=["c"])
    place.add("c")
    place.add("c", "2.0")
    settings = (
        f'[[tool.uv.index]]\nurl = "{place.index.url}"\ndefault = true\n'
        '[tool.uv]\nconstraint-dependencies = ["b<3", "c<2"]\n'
    )
    if kind == "project":
        (place.root / "pyproject.toml").write_text(
            f'[project]\nname = "acme"\nversion = "1"\ndependencies = ["b"]\n{settings}'
        )
        wanted = spec.with_packages("a", index_url=place.index.url).with_project(".")
    else:
        block = f'dependencies = ["b"]\n{settings}'.splitlines()
        text = "".join(f"# {line}\n" for line in block)
        (place.root / "run.py").write_text(f"# /// script\n{text}# ///\n")
        wanted = ImageSpec.from_script(
            "run.py", name="app", base="python:3.12-slim"
        ).with_packages("a", index_url=place.index.url)
    resolver = UvResolver(Uv(place.environ), seconds=60)
    lock = await resolver.resolve(place.request(wanted))
    assert versions(lock) == {"a": "1.0", "b": "2.0", "c": "2.0"}


async def test_a_spec_without_packages_has_an_empty_lock(
    place: Place, spec: ImageSpec
) -> None:
    """Nothing is asked, and the text is still a lock."""
    lock = await place.resolve(spec.with_env(A="1"))
    assert lock.wheels == ()
    assert "packages" not in tomllib.loads(lock.text)


async def test_source_is_kept_where_there_is_no_wheel(
    place: Place, spec: ImageSpec
) -> None:
    """A source distribution is pinned as such, with its digest."""
    place.dist.mkdir()
    path = _make_sdist(place.dist, "src")
    place.add("a")
    lock = await place.resolve(spec.with_packages("src", "a", find_links=["dist"]))
    found = {one.name: one for one in lock.wheels}
    assert found["a"].is_wheel
    assert not found["src"].is_wheel
    assert found["src"].filename == path.name
    assert found["src"].digest.hex == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "sdist = {" in lock.text


def _make_sdist(directory: Path, name: str) -> Path:
    path = directory / f"{name}-1.0.tar.gz"
    info = b"Metadata-Version: 2.2\nName: src\nVersion: 1.0\n"
    project = b'[project]\nname = "src"\nversion = "1.0"\ndependencies = []\n'
    with tarfile.open(path, "w:gz") as tar:
        for file, content in (("PKG-INFO", info), ("pyproject.toml", project)):
            member = tarfile.TarInfo(f"{name}-1.0/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


async def test_a_commit_is_pinned(place: Place, spec: ImageSpec) -> None:
    """A repository is pinned by its commit, and kept by the next resolution."""
    repository = place.root / "repository"
    repository.mkdir()
    (repository / "pyproject.toml").write_text(
        '[project]\nname = "src"\nversion = "1.0"\ndependencies = ["a"]\n'
    )
    commit = await asyncio.to_thread(_commit, repository)
    place.add("a")
    wanted = spec.with_packages(f"src @ git+file://{repository}", "a")
    lock = await place.resolve(wanted)
    found = {one.name: one for one in lock.wheels}["src"]
    assert found.url == f"git+file://{repository}@{commit}"
    assert found.size is None
    assert not found.is_wheel
    package = tomllib.loads(lock.text)["packages"][1]
    assert package["vcs"]["commit-id"] == commit
    make_dist(place.root / "more", "b", requires=["src"])
    again = wanted.with_packages("b", find_links=["more"])
    assert found in (await place.resolve(again, previous=lock.text)).wheels


def _commit(repository: Path) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "gc.auto=0")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(
            ["git", *identity, *command], cwd=repository, check=True, timeout=30
        )
    shown = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=repository,
        check=True,
        timeout=30,
        capture_output=True,
        text=True,
    )
    return shown.stdout.strip()


async def test_a_file_without_a_digest_is_refused(
    place: Place, spec: ImageSpec
) -> None:
    """Nothing is pinned that cannot be checked when it is fetched."""
    (place.root / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "x"\n[[packages]]\nname = "a"\n'
        'version = "1.0"\nwheels = [{ url = "https://files.example/'
        f'a-1.0-py3-none-any.whl", hashes = {{ sha512 = "{"ab" * 64}" }} }}]\n'
    )
    with pytest.raises(ResolveError, match="no SHA-256"):
        await place.resolve(spec.with_lock("pylock.toml"))


@pytest.mark.parametrize("name", ["wheels", "links"])
async def test_a_file_that_vanished_is_named(
    place: Place, spec: ImageSpec, name: str
) -> None:
    """A wheel that is gone since the snapshot is an error, and nothing stays."""
    path = make_dist(place.root / name, "mine")
    if name == "wheels":
        wanted = spec.with_wheel("wheels/*.whl")
    else:
        wanted = spec.with_packages("mine", find_links=["links"])
    request = place.request(wanted)
    path.unlink()
    with pytest.raises(ResolveError, match="mine"):
        await UvResolver(place.uv(), seconds=60).resolve(request)
    assert place.leftovers() == []


async def test_steps_are_known_without_a_cache(place: Place, spec: ImageSpec) -> None:
    """A machine that keeps no cache asks the index twice and gets the same."""
    place.add("a", requires=["b"])
    place.add("b")
    request = place.request(spec.with_packages("a").with_packages("b"))
    lock = await UvResolver(place.uv(UV_NO_CACHE="1"), seconds=60).resolve(request)
    assert {one.name: one.step for one in lock.wheels} == {"a": 0, "b": 0}
