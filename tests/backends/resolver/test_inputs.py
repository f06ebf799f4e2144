"""Files for uv: laid out for a while, and gone however that ends."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from aweigh.archive.member import Member
from aweigh.backends.resolver import inputs
from aweigh.backends.resolver.inputs import laid_out, read_text, text_of, write_files


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let temporary directories be the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def leftovers(root: Path) -> list[str]:
    """Return what was left behind."""
    return sorted(path.name for path in root.glob("aweigh-resolve-*"))


def kept(path: str, content: bytes) -> Member:
    """Make a member that is in memory."""
    return Member(path=path, kind="file", size=len(content), source=content)


async def test_members_are_where_the_context_has_them(tmp_path: Path) -> None:
    """Texts are files, distributions are links; directories need nothing."""
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"wheel")
    members = [
        kept("steps/0/a.txt", b"six\n"),
        Member(path="steps/1/wheels/x.whl", kind="file", size=5, source=wheel),
        Member(path="steps/2/empty", kind="directory"),
    ]
    async with laid_out(members) as root:
        assert (root / "steps/0/a.txt").read_text() == "six\n"
        assert (root / "steps/1/wheels/x.whl").readlink() == wheel
        assert not (root / "steps/2/empty").exists()
        assert 'name = "aweigh-boundary"' in (root / "pyproject.toml").read_text()
        await write_files(root, {"new/b.txt": "ä", "steps/0/a.txt": "idna\n"})
        assert await read_text(root / "new/b.txt") == "ä"
        assert await read_text(root / "steps/0/a.txt") == "idna\n"
    assert leftovers(tmp_path) == []
    assert wheel.read_bytes() == b"wheel"


async def test_what_cannot_be_laid_out(tmp_path: Path) -> None:
    """The reason comes through, and nothing stays behind."""
    members = [kept("a", b""), kept("a/b", b"")]
    with pytest.raises(OSError, match="a"):
        async with laid_out(members):
            pytest.fail("it was laid out")
    assert leftovers(tmp_path) == []


async def test_a_failure_inside(tmp_path: Path) -> None:
    """It is the caller's, and the directory goes."""
    made: list[Path] = []

    async def fail() -> None:
        async with laid_out([kept("a", b"")]) as root:
            made.append(root)
            raise ValueError("theirs")

    with pytest.raises(ValueError, match="theirs"):
        await fail()
    assert made
    assert leftovers(tmp_path) == []


async def test_cancelling_while_it_is_laid_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be stopped: what it makes after that is removed as well."""
    started, proceed = threading.Event(), threading.Event()
    put = inputs._put

    def slow(member: Member, path: Path) -> None:
        started.set()
        proceed.wait(10)
        put(member, path)

    monkeypatch.setattr(inputs, "_put", slow)

    async def enter() -> None:
        async with laid_out([kept("a", b"")]):
            pytest.fail("it was laid out")

    entering = asyncio.ensure_future(enter())
    await asyncio.to_thread(started.wait, 10)
    entering.cancel()
    await asyncio.sleep(0)
    assert leftovers(tmp_path)
    proceed.set()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert leftovers(tmp_path) == []


def test_only_texts_are_read(tmp_path: Path) -> None:
    """A byte order mark is no text; a file on the disk is not read by the way."""
    assert text_of(kept("a", b"\xef\xbb\xbfsix")) == "six"
    there = Member(path="b", kind="file", source=Path(os.devnull))
    with pytest.raises(TypeError, match="b"):
        text_of(there)
    assert leftovers(tmp_path) == []
