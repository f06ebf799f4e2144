"""Code as one more layer: what is in it, how often it moves, when it is asked for."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aweigh import ImageSpec, Session, Settings, open_session
from aweigh.backends.registry import RegistryClient
from aweigh.errors import ChangedError, ImageGoneError, UndecidedError
from aweigh.events import BlobPushed, CodeDelivered
from aweigh.flow.load import Loaded
from aweigh.flow.prepare import Prepared
from aweigh.oci.manifest import OCI_LAYER_ZSTD
from aweigh.testing import FakeClock, RecordingListener
from tests.conftest import AccessLog
from tests.flow.sources import (
    asked,
    delete,
    elsewhere,
    files_of,
    platforms_of,
    some_code,
)


async def load(session: Session, spec: ImageSpec, code: Path) -> Loaded:
    """Make the image with the code exist."""
    return await (await session._opened()).loader.load(spec, code)


async def test_the_image_has_one_layer_more(
    live: Settings, spec: ImageSpec, code: Path, registry: RegistryClient
) -> None:
    """The layers below are the same blobs; on top lies exactly what the bundle has."""
    async with open_session(live) as session:
        loaded = await load(session, spec, code)
    ((below, _),) = await platforms_of(registry, str(loaded.ready.image))
    ((manifest, config),) = await platforms_of(registry, str(loaded.image))
    assert [one.digest for one in manifest.layers[:-1]] == [
        one.digest for one in below.layers
    ]
    files = await files_of(registry, str(loaded.image), manifest)
    assert files == {
        "app/main.py": b"import package.letters\n",
        "app/package/letters.py": b"X = 1\n",
    }
    assert config.workdir == "/app"
    assert config.environment["PYTHONPATH"] == "/app"
    assert config.path.startswith("/opt/venv/bin:")
    assert loaded.image.platforms == loaded.ready.image.platforms
    tag = loaded.image.reference
    assert tag.tag.startswith("aw-code-")
    named = await registry.head_manifest(tag)
    assert named is not None
    assert named.digest == loaded.image.digest


async def test_a_second_run_asks_and_moves_nothing(
    live: Settings, spec: ImageSpec, code: Path, access_log: AccessLog
) -> None:
    """Neither in this process nor in the next one is the registry asked again."""
    async with open_session(live) as session:
        first = await load(session, spec, code)
        access_log.mark()
        again = await load(session, spec, code)
    async with open_session(live) as session:
        later = await load(session, spec, code)
    assert asked(access_log, live) == []
    assert first.image.origin == "built"
    assert {again.image.origin, later.image.origin} == {"recalled"}
    assert {again.image.digest, later.image.digest} == {first.image.digest}


async def test_equal_code_is_equal_everywhere(
    live: Settings, spec: ImageSpec, code: Path, tmp_path: Path, access_log: AccessLog
) -> None:
    """Another machine, with the code elsewhere, finds the image and pushes nothing."""
    async with open_session(live) as session:
        first = await load(session, spec, code)
    other = some_code(tmp_path / "other" / "place")
    async with open_session(elsewhere(live, "machine")) as session:
        access_log.mark()
        second = await load(session, spec, other)
    assert second.image.origin == "found"
    assert second.image.digest == first.image.digest
    assert {line.partition(" ")[0] for line in asked(access_log, live)} <= {
        "HEAD",
        "GET",
    }


async def test_equal_code_is_packed_alike_everywhere(
    live: Settings,
    spec: ImageSpec,
    code: Path,
    tmp_path: Path,
    registry: RegistryClient,
) -> None:
    """Made anew by another machine after it was deleted, it has the same digest."""
    async with open_session(live) as session:
        first = await load(session, spec, code)
    await delete(registry, first.image)
    other = some_code(tmp_path / "other")
    async with open_session(elsewhere(live, "machine")) as session:
        second = await load(session, spec, other)
    assert second.image.origin == "built"
    assert second.image.digest == first.image.digest


async def test_an_edit_moves_one_layer_and_reads_nothing(
    live: Settings, spec: ImageSpec, code: Path, access_log: AccessLog
) -> None:
    """What lies below is remembered, also by the next process: no GET, three blobs."""
    async with open_session(live) as session:
        first = await load(session, spec, code)
    (code / "main.py").write_text("print('edited')\n")
    async with open_session(live) as session:
        access_log.mark()
        second = await load(session, spec, code)
    lines = asked(access_log, live)
    assert second.image.digest != first.image.digest
    assert [line for line in lines if line.startswith("GET")] == []
    assert sum(line.startswith("PUT") for line in lines) == 4, lines


async def test_unchanged_code_does_not_move_for_a_new_image(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """The layer is the same blob on every image of a repository."""
    heard = RecordingListener()
    async with open_session(live, listener=heard) as session:
        await load(session, spec, code)
        await load(session, spec.with_env(MORE="1"), code)
    pushed = [event for event in heard.of(BlobPushed) if event.layer == "code"]
    assert [event.reused for event in pushed] == [False, True]


async def test_equal_work_is_done_once(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """Eight at once in one process, and two processes' worth of sessions: one layer."""
    heard = RecordingListener()
    async with (
        open_session(live, listener=heard) as one,
        open_session(live, listener=heard) as other,
    ):
        loaded = await asyncio.gather(
            *(load(session, spec, code) for session in (one, other) * 4)
        )
    assert len({one.image.digest for one in loaded}) == 1
    pushed = [event for event in heard.of(BlobPushed) if event.layer == "code"]
    assert len(pushed) == 1
    assert len(heard.of(CodeDelivered)) == 8


async def test_a_stale_row_costs_one_question(
    live: Settings, spec: ImageSpec, code: Path, access_log: AccessLog
) -> None:
    """After its time a row is renewed by a HEAD, as those of images are."""
    clock = FakeClock()
    async with open_session(live, clock=clock) as session:
        await load(session, spec, code)
        clock.advance(live.image_fresh_for + 1)
        access_log.mark()
        again = await load(session, spec, code)
        questions = asked(access_log, live)
        await load(session, spec, code)
        assert asked(access_log, live) == questions
    assert again.image.origin == "recalled"
    code_questions = [line for line in questions if str(again.image.digest) in line]
    assert [line.partition(" ")[0] for line in code_questions] == ["HEAD"]


async def test_a_stale_row_of_what_is_gone_is_made_anew(
    live: Settings, spec: ImageSpec, code: Path, registry: RegistryClient
) -> None:
    """The question finds out that it was deleted; nobody else has to."""
    clock = FakeClock()
    async with open_session(live, clock=clock) as session:
        first = await load(session, spec, code)
        await delete(registry, first.image)
        clock.advance(live.image_fresh_for + 1)
        second = await load(session, spec, code)
    assert (second.image.origin, second.image.digest) == ("built", first.image.digest)
    assert await registry.head_manifest(second.image.reference) is not None


async def test_offline_only_memory_counts(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """What ran once runs offline; new code cannot."""
    async with open_session(live) as session:
        first = await load(session, spec, code)
    offline = dataclasses.replace(live, offline=True)
    async with open_session(offline) as session:
        again = await load(session, spec, code)
        assert again.image.digest == first.image.digest
        moved = dataclasses.replace(offline, code_dir="/srv/code")
    async with open_session(moved) as session:
        with pytest.raises(UndecidedError, match="only memory"):
            await load(session, spec, code)


async def test_the_layer_is_compressed_as_the_settings_say(
    live: Settings, spec: ImageSpec, code: Path, registry: RegistryClient
) -> None:
    """Zstd, for runtimes that read it, in another place."""
    settings = dataclasses.replace(live, compression="zstd", code_dir="/srv/my code")
    async with open_session(settings) as session:
        loaded = await load(session, spec, code)
    ((manifest, config),) = await platforms_of(registry, str(loaded.image))
    assert manifest.layers[-1].media_type == OCI_LAYER_ZSTD
    assert config.workdir == "/srv/my code"
    assert config.environment["PYTHONPATH"] == "/srv/my code"


async def edited_after(
    session: Session, edit: Callable[[], object]
) -> Callable[[ImageSpec, Path], Awaitable[Loaded]]:
    """Return a loader's `load` whose files change right after they were scanned."""
    loader = (await session._opened()).loader

    async def prepare(spec: ImageSpec, directory: str | Path, /) -> Prepared:
        prepared = await loader.prepare(spec, directory)
        edit()
        return prepared

    return dataclasses.replace(loader, prepare=prepare).load


async def test_files_that_change_meanwhile_are_taken_again(
    live: Settings, spec: ImageSpec, code: Path, registry: RegistryClient
) -> None:
    """The layer never has what the bundle has not: it is prepared once more."""
    edits = iter(["X = 22\n", "X = 333\n"])

    def edit() -> None:
        for text in edits:
            (code / "package" / "letters.py").write_text(text)
            return

    async with open_session(live) as session:
        load_edited = await edited_after(session, edit)
        loaded = await load_edited(spec, code)
    ((manifest, _),) = await platforms_of(registry, str(loaded.image))
    files = await files_of(registry, str(loaded.image), manifest)
    assert files["app/package/letters.py"] == b"X = 333\n"


async def test_files_that_always_change_are_an_error(
    live: Settings, spec: ImageSpec, code: Path
) -> None:
    """Four times is enough, and the error names the file."""
    count = 0

    def edit() -> None:
        nonlocal count
        count += 1
        (code / "main.py").write_text("x" * count)

    async with open_session(live) as session:
        load_edited = await edited_after(session, edit)
        with pytest.raises(ChangedError, match=r"main\.py"):
            await load_edited(spec, code)
    assert count == 4


async def test_an_image_deleted_behind_the_cache_is_ensured_again(
    live: Settings,
    spec: ImageSpec,
    code: Path,
    registry: RegistryClient,
) -> None:
    """New code on a remembered image that is not there any more."""
    async with open_session(live) as session:
        image = await session.ensure_image(spec)
        await delete(registry, image)
        loaded = await load(session, spec, code)
    assert loaded.ready.image.origin == "built"
    assert await registry.head_manifest(
        loaded.image.reference.with_digest(loaded.ready.image.digest)
    )


async def test_an_image_that_vanishes_twice_is_an_error(
    live: Settings, spec: ImageSpec, code: Path, registry: RegistryClient
) -> None:
    """Somebody deletes it each time: that is not for us to win."""
    async with open_session(live) as session:
        loader = (await session._opened()).loader
        count = 0

        async def prepare(spec: ImageSpec, directory: str | Path, /) -> Prepared:
            nonlocal count
            prepared = await loader.prepare(spec, directory)
            await delete(registry, prepared.ready.image)
            count += 1
            return prepared

        with pytest.raises(ImageGoneError, match="has no"):
            await dataclasses.replace(loader, prepare=prepare).load(spec, code)
    assert count == 2
