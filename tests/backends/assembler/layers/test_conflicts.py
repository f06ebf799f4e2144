"""Wheels that write one path: who wins is said, also when they are in other layers."""

from pathlib import Path

import pytest

from aweigh.backends.assembler.layers.conflicts import Overlaps, find_conflicts, settle
from aweigh.backends.assembler.wheels.installed import Installed, read_installed
from aweigh.backends.assembler.wheels.keep import Keep
from aweigh.backends.assembler.wheels.records import Row, write_record
from aweigh.events import Warned
from aweigh.image.plan import PythonLayer
from aweigh.image.spec import ImageSpec
from tests.backends.assembler.conftest import Yard
from tests.backends.assembler.support import SmallBase, request_of, write_wheel
from tests.image.locks import make_locked


def holding(name: str, files: dict[str, str]) -> Installed:
    """Say that a wheel consists of these files."""
    rows = {path: Row.of(path, text.encode()) for path, text in files.items()}
    return Installed(make_locked(name), rows | {"no/RECORD": Row("no/RECORD")})


def layer(name: str, *installed: Installed) -> PythonLayer:
    """Plan a layer of these wheels."""
    wheels = tuple(one.wheel for one in installed)
    return PythonLayer(kind="light", wheels=wheels, name=name)


A = holding("a", {"both.py": "1", "same.py": "", "more.py": "1", "a.py": ""})
B = holding("b", {"both.py": "2", "same.py": "", "more.py": "2"})
C = holding("c", {"both.py": "2", "c.py": ""})


def test_conflicts_in_a_stage_are_told_by_who_is_in_them() -> None:
    """One event for all paths of the same wheels; equal content is no conflict."""
    first, second = find_conflicts([A, B, C])
    assert first.paths == ("both.py",)
    assert [wheel.name for wheel in first.writers] == ["a", "b", "c"]
    assert second.paths == ("more.py",)
    (both,) = find_conflicts([A, B])
    assert both.paths == ("both.py", "more.py")
    assert both.warning().message == (
        "a and b write different contents to both.py and 1 more file; that of b counts"
    )
    assert not find_conflicts([B, C])


def test_the_last_writer_settles_it(tmp_path: Path) -> None:
    """Its files replace what the installer left there."""
    (conflict,) = find_conflicts([A, B])
    for place, text in ("stage", "1"), ("alone", "2"):
        (tmp_path / place).mkdir()
        for path in conflict.paths:
            (tmp_path / place / path).write_text(text)
    (tmp_path / "stage" / "more.py").unlink()
    settle(tmp_path / "stage", conflict, tmp_path / "alone")
    assert [(tmp_path / "stage" / path).read_text() for path in conflict.paths] == [
        "2",
        "2",
    ]


def test_layers_are_compared_when_the_last_of_them_is_made(tmp_path: Path) -> None:
    """Once, in the order they lie upon each other; a layer settles its own."""
    overlaps = Overlaps(Keep(tmp_path / "keep"))
    overlaps.expect(layer("a", A))
    overlaps.expect(layer("light-0", B, C))
    assert overlaps.look([B, C], tmp_path) == []
    found = overlaps.look([A], tmp_path)
    assert [(one.paths, [wheel.name for wheel in one.writers]) for one in found] == [
        (("both.py",), ["a", "b", "c"]),
        (("more.py",), ["a", "b"]),
    ]
    assert overlaps.look([A], tmp_path) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_a_reused_layer_counts_when_it_was_made_here(
    tmp_path: Path,
    damaged: bool,  # noqa: FBT001 - a parameter of pytest's
) -> None:
    """What was unpacked once is known; of others nothing is said."""
    keep = Keep(tmp_path / "keep")
    earlier = Overlaps(keep)
    earlier.expect(layer("a", A))
    assert earlier.look([A], tmp_path) == []
    if damaged:
        (entry,) = (tmp_path / "keep").glob("??/*")
        content = (entry / "0").read_bytes()
        (entry / "0").write_bytes(content[:-1] + b"?")
    later = Overlaps(keep)
    unknown = holding("unknown", {"both.py": "3"})
    for one in A, B, unknown:
        later.expect(layer(one.wheel.name, one))
    found = later.look([B], tmp_path)
    assert bool(found) is not damaged


def test_records_are_read_in_the_order_of_the_wheels(tmp_path: Path) -> None:
    """By normalised name; without a RECORD nothing is known, and missing is missing."""
    for name in ("My_Pkg-1.0", "other-1.0"):
        (tmp_path / f"{name}.dist-info").mkdir()
    record = tmp_path / "My_Pkg-1.0.dist-info" / "RECORD"
    record.write_bytes(write_record([Row("a.py", "sha256=x", "1")]))
    wheels = [make_locked(name) for name in ("other", "my-pkg", "missing")]
    found = read_installed(tmp_path, wheels)
    assert [(one.wheel.name, set(one.rows)) for one in found] == [
        ("other", set()),
        ("my-pkg", {"a.py"}),
    ]


async def test_the_user_is_told_of_layers_that_contradict_each_other(
    yard: Yard, tmp_path: Path
) -> None:
    """A heavy wheel is below a light one, whatever their names are."""
    yard.resolver.heavy = frozenset({"zebra"})
    for name, text in ("zebra", "x = 'heavy'\n"), ("ant", "x = 'light'\n"):
        write_wheel(tmp_path / "dist", name, {"shared.py": text, f"{name}.py": ""})
    base = SmallBase().hold(yard.fake)
    spec = ImageSpec("t", base=str(base)).with_wheel("dist/*.whl")

    await yard.build(request_of(spec, tmp_path, yard.reference))

    (warned,) = (one for one in yard.heard.of(Warned) if "shared.py" in one.message)
    assert warned.message.startswith("zebra and ant write different contents")
    assert "that of ant counts" in warned.message
