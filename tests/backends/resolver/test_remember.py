"""An unchanged spec is resolved once, also from another process."""

import time
import zipfile
from collections.abc import Sequence

import pytest

from aweigh.backends.localdb import open_localdb
from aweigh.backends.resolver import RememberingResolver, UvResolver
from aweigh.errors import ResolveError
from aweigh.events import silent
from aweigh.image.lock import Lock
from aweigh.image.resolve import ResolveRequest
from aweigh.image.spec import ImageSpec
from aweigh.memory import Record, Table
from aweigh.oci import Digest
from tests.backends.resolver.place import AMD, Place, make_dist


class Shelf:
    """A memory in a dict."""

    def __init__(self) -> None:
        self.rows: dict[str, Record] = {}

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return the row."""
        assert table is Table.LOCKS
        return self.rows.get(key)

    async def remember(self, records: Sequence[Record], /) -> None:
        """Keep rows."""
        self.rows |= {record.key: record for record in records}

    async def forget(self, table: Table, keys: Sequence[str], /) -> None:
        """Nobody forgets locks."""
        raise AssertionError(table, keys)


class Counting:
    """A resolver that counts what it is asked."""

    def __init__(self, inner: UvResolver) -> None:
        self.inner = inner
        self.count = 0

    async def resolve(self, request: ResolveRequest, /) -> Lock:
        """Count and ask."""
        self.count += 1
        return await self.inner.resolve(request)


class Desk:
    """A remembering resolver with all its parts."""

    def __init__(self, place: Place) -> None:
        self.place = place
        uv = place.uv()
        self.counting = Counting(UvResolver(uv))
        self.shelf = Shelf()
        self.resolver = RememberingResolver(
            self.counting, self.shelf, lambda: 1000.0, uv
        )

    async def resolve(self, spec: ImageSpec, **changes: object) -> Lock:
        """Resolve a spec."""
        return await self.resolver.resolve(self.place.request(spec, **changes))


@pytest.fixture
def desk(place: Place) -> Desk:
    """Return a resolver that remembers nothing yet."""
    place.add("heavy")
    make_dist(place.root / "own", "mine", requires=["heavy"])
    return Desk(place)


async def test_an_unchanged_spec_is_resolved_once(desk: Desk, spec: ImageSpec) -> None:
    """The remembered lock is equal in everything, first-party wheels included."""
    wanted = spec.with_wheel("own/*.whl")
    first = await desk.resolve(wanted)
    desk.place.add("heavy", "2.0")
    assert await desk.resolve(wanted) == first
    assert desk.counting.count == 1
    assert await desk.resolve(wanted, previous=first.text) == first
    # A registry hands back names and versions only.
    kept = ("[[packages]]", "name =", "version =")
    told = [line for line in first.text.splitlines() if line.startswith(kept)]
    assert await desk.resolve(wanted, previous="\n".join(told)) == first
    assert desk.counting.count == 1


async def test_upgrade_resolves_and_replaces(desk: Desk, spec: ImageSpec) -> None:
    """After an upgrade the new lock is the remembered one."""
    wanted = spec.with_packages("heavy")
    await desk.resolve(wanted)
    desk.place.add("heavy", "2.0")
    moved = await desk.resolve(wanted, upgrade=True)
    assert moved.wheels[0].version == "2.0"
    assert await desk.resolve(wanted) == moved
    assert desk.counting.count == 2


async def test_what_decides_the_answer_is_in_the_question(
    desk: Desk, spec: ImageSpec
) -> None:
    """Another platform, Python, libc, requirement or previous lock is asked anew."""
    wanted = spec.with_packages("heavy")
    lock = await desk.resolve(wanted)
    await desk.resolve(wanted, platform=AMD)
    await desk.resolve(wanted, python="3.13")
    await desk.resolve(wanted, manylinux="musllinux_1_2")
    await desk.resolve(wanted, previous=lock.text.replace('"heavy"', '"h"'))
    await desk.resolve(spec.with_packages("heavy>=1"))
    assert desk.counting.count == 6
    await desk.resolve(wanted.with_env(A="1").with_labels({"a": "b"}))
    assert desk.counting.count == 6


async def test_files_count_by_content(desk: Desk, spec: ImageSpec) -> None:
    """A changed requirements file is asked anew, the code of a project is not."""
    path = desk.place.root / "r.txt"
    path.write_text("heavy\n")
    wanted = spec.with_requirements("r.txt")
    await desk.resolve(wanted)
    path.write_text("heavy>=1\n")
    await desk.resolve(wanted)
    assert desk.counting.count == 2
    folder = desk.place.root / "app"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["heavy"]\n'
    )
    project = spec.with_project("app", install_project=True)
    (folder / "code.py").write_text("A = 1\n")
    await desk.resolve(project)
    (folder / "code.py").write_text("A = 2\n")
    await desk.resolve(project)
    assert desk.counting.count == 3


async def test_other_code_in_a_wheel_is_no_other_question(
    desk: Desk, spec: ImageSpec
) -> None:
    """What it needs decides; the lock still says what is in it now."""
    root = desk.place.root
    wheel = make_dist(root / "own", "mine", requires=["heavy"])
    wanted = spec.with_wheel("own/*.whl")
    first = await desk.resolve(wanted)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("mine.py", "A = 1\n")
    second = await desk.resolve(wanted)
    assert desk.counting.count == 1
    assert second.wheels[-1].digest == Digest.of(wheel.read_bytes())
    assert second.wheels[-1].size == wheel.stat().st_size
    assert second.wheels[-1].digest.hex in second.text
    assert second.wheels[:-1] == first.wheels[:-1]
    make_dist(root / "own", "mine", requires=["heavy>=1"])
    await desk.resolve(wanted)
    assert desk.counting.count == 2
    wheel.write_bytes(b"no wheel")
    with pytest.raises(ResolveError):
        await desk.resolve(wanted)


async def test_a_failure_is_not_remembered(desk: Desk, spec: ImageSpec) -> None:
    """What was missing may be there the next time."""
    wanted = spec.with_packages("late")
    with pytest.raises(ResolveError):
        await desk.resolve(wanted)
    assert desk.shelf.rows == {}


@pytest.mark.parametrize(
    "value",
    [
        b"\xff",
        b"[]",
        b'{"text": 1, "wheels": []}',
        b'{"text": "", "wheels": [["a"]]}',
    ],
)
async def test_what_another_version_wrote_is_a_miss(
    desk: Desk, spec: ImageSpec, value: bytes
) -> None:
    """A row that cannot be read is resolved anew and replaced."""
    wanted = spec.with_packages("heavy")
    lock = await desk.resolve(wanted)
    good = dict(desk.shelf.rows)
    for key, row in good.items():
        desk.shelf.rows[key] = Record(
            table=row.table,
            key=key,
            value=value,
            created_at=1.0,
            verified_at=1.0,
            expires_at=2.0,
        )
    assert await desk.resolve(wanted) == lock
    assert desk.counting.count == 2
    assert desk.shelf.rows == good


async def test_locks_survive_in_the_local_database(
    place: Place, spec: ImageSpec
) -> None:
    """Another process finds what this one remembered."""
    place.add("heavy")
    wanted = spec.with_packages("heavy")
    found = []
    for _ in range(2):
        uv = place.uv()
        counting = Counting(UvResolver(uv))
        async with open_localdb(place.root / "db", listener=silent) as memory:
            resolver = RememberingResolver(counting, memory, time.time, uv)
            found.append(await resolver.resolve(place.request(wanted)))
    assert counting.count == 0
    assert found[0] == found[1]
