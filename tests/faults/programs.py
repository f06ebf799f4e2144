"""Small programs that use aweigh, for tests that need other processes.

`programs.py NAME ARGUMENT...`; settings come from the environment. Lines on stdout are
JSON: the events that a test waits for, and what came out.
"""

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path

import aweigh
from aweigh import ImageSpec, open_session
from aweigh.errors import AweighError
from aweigh.events import (
    BuildStarted,
    Event,
    PushProgressed,
    UploadProgressed,
    Waited,
    Warned,
)

TOLD = (BuildStarted, PushProgressed, UploadProgressed, Waited, Warned)

kept: list[object] = []


def say(kind: str, **values: object) -> None:
    """Print an object with the time at which it was printed."""
    line = json.dumps({"kind": kind, "at": time.monotonic(), **values})
    # In one write: threads may say something at the same time.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def hear(event: Event, /) -> None:
    """Print the events that tests wait for."""
    if isinstance(event, TOLD):
        say(
            type(event).__name__,
            holder=getattr(event, "holder", ""),
            purpose=getattr(event, "purpose", ""),
            text=str(event),
        )


def spec_of(base: str, nonce: str, *commands: str) -> ImageSpec:
    """Return a spec that equals no other nonce's."""
    spec = ImageSpec("light", base=base).with_env(NONCE=nonce)
    return spec.with_run(*commands) if commands else spec


async def ensure(base: str, nonce: str, *commands: str) -> None:
    """Ensure one image as soon as a line comes in."""
    async with open_session(listener=hear) as session:
        say("ready", pid=os.getpid())
        await asyncio.to_thread(sys.stdin.readline)
        image = await session.ensure_image(spec_of(base, nonce, *commands))
        say("image", origin=image.origin, image=str(image))


async def upload(directory: str) -> None:
    """Upload one bundle."""
    async with open_session(listener=hear) as session:
        bundle = await session.upload_bundle(directory)
        say("bundle", origin=str(bundle.origin), uri=bundle.uri)


async def crowd(base: str, nonce: str, specs: str, calls: str) -> None:
    """Ensure a few images many times through the module-level functions."""
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    wanted = [spec_of(base, f"{nonce}-{n}") for n in range(int(specs))]
    tasks = [
        asyncio.create_task(aweigh.ensure_image(wanted[n % len(wanted)]))
        for n in range(int(calls))
    ]
    most = 0
    while not all(task.done() for task in tasks):
        most = max(most, database_threads())
        await asyncio.sleep(0.005)
    images = [str(task.result().reference) for task in tasks]
    origins = sorted({task.result().origin for task in tasks})
    say("crowd", images=len(set(images)), origins=origins, threads=most)


def database_threads() -> int:
    """How many threads there are besides the main one and asyncio's workers."""
    return sum(
        not thread.name.startswith(("asyncio_", "MainThread"))
        for thread in threading.enumerate()
    )


# Ends of a process, each with a session open: section 2.5 of the measured facts.


async def opened(directory: str) -> aweigh.Session:
    """Use a session, and never close it."""
    context = open_session(listener=hear)
    session = await context.__aenter__()
    kept.extend((context, session))
    await session.upload_bundle(directory)
    return session


def ended() -> None:
    """Note when main ended: from here on the interpreter is leaving."""
    say("ended")


def exit_returning(directory: str) -> None:
    """Return from main with a session open."""
    asyncio.run(opened(directory))
    ended()


def exit_raising(directory: str) -> None:
    """Raise out of main with a session open."""
    asyncio.run(opened(directory))
    ended()
    raise SystemExit(3)


def exit_collected(directory: str) -> None:
    """Let an open session be collected."""
    asyncio.run(opened(directory))
    kept.clear()
    gc.collect()
    ended()


def exit_shared(directory: str) -> None:
    """Use the module-level functions, whose session is still idle at the end."""
    asyncio.run(aweigh.upload_bundle(directory))
    ended()


def exit_shared_loop_closed(directory: str) -> None:
    """Use them in a loop that is closed without ending its tasks."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(aweigh.upload_bundle(directory))
    loop.close()
    ended()


def exit_shared_loop_open(directory: str) -> None:
    """Use them in a loop that nobody closes."""
    loop = asyncio.new_event_loop()
    kept.append(loop)
    loop.run_until_complete(aweigh.upload_bundle(directory))
    ended()


def exit_pending(directory: str) -> None:
    """Return from main while calls are under way."""

    async def main() -> None:
        session = await opened(directory)
        (Path(directory) / "more.py").write_text("2")
        kept.append(asyncio.create_task(session.upload_bundle(directory)))
        await asyncio.sleep(0)

    asyncio.run(main())
    ended()


def exit_interrupted(directory: str) -> None:
    """Be interrupted in the middle of calls."""

    async def main() -> None:
        async with open_session(listener=hear) as session:
            threading.Timer(0.3, interrupt).start()
            while True:
                await session.upload_bundle(directory)

    def interrupt() -> None:
        ended()
        os.kill(os.getpid(), signal.SIGINT)

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)


def exit_in_thread(directory: str) -> None:
    """Leave a session open in the loop of another thread."""
    thread = threading.Thread(target=asyncio.run, args=(opened(directory),))
    thread.start()
    thread.join()
    ended()


def exit_loop_in_daemon(directory: str) -> None:
    """Return while a daemon thread's loop is in the middle of calls."""

    async def forever() -> None:
        session = await opened(directory)
        going.set()
        while True:
            await session.upload_bundle(directory)

    going = threading.Event()
    threading.Thread(target=asyncio.run, args=(forever(),), daemon=True).start()
    going.wait(10)
    ended()


def second_loop(directory: str) -> None:
    """Use one session in a second loop."""
    asyncio.run(opened(directory))
    session = kept[1]
    assert isinstance(session, aweigh.Session)
    try:
        asyncio.run(session.upload_bundle(directory))
    except AweighError as error:
        say("error", name=type(error).__name__)
    ended()


def threads(directory: str) -> None:
    """Use the module-level functions in the loops of four threads at once."""

    def use() -> None:
        say("bundle", uri=asyncio.run(aweigh.upload_bundle(directory)).uri)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    ended()


def forked() -> int:
    """Fork; newer Pythons warn of the threads that a child does not get."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def fork(directory: str) -> None:
    """Use the module-level functions in a forked child while the parent goes on."""

    async def parent() -> None:
        first = await aweigh.upload_bundle(directory)
        pid = forked()
        if pid == 0:
            # As multiprocessing does: the child leaves the parent's frames alone.
            asyncio.events._set_running_loop(None)
            code = 1
            with contextlib.suppress(BaseException):
                again = asyncio.run(aweigh.upload_bundle(directory))
                say("child", uri=again.uri, origin=str(again.origin))
                code = 0
            os._exit(code)
        again = await aweigh.upload_bundle(directory)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        say("parent", uri=again.uri, same=again.uri == first.uri, status=status)

    asyncio.run(parent())
    ended()


def fork_after(directory: str) -> None:
    """Fork between two `asyncio.run`, the child through its whole finalisation."""
    first = asyncio.run(opened(directory))
    pid = forked()
    again = asyncio.run(aweigh.upload_bundle(directory))
    kept.append(first)
    if pid:
        say("parent", uri=again.uri, status=os.waitpid(pid, 0)[1])
        ended()
    else:
        say("child", uri=again.uri, origin=str(again.origin))


PROGRAMS: dict[str, Callable[..., Awaitable[None] | None]] = {
    name.replace("_", "-"): program
    for name, program in list(globals().items())
    if callable(program) and getattr(program, "__module__", "") == __name__
}

if __name__ == "__main__":
    outcome = PROGRAMS[sys.argv[1]](*sys.argv[2:])
    if outcome is not None:
        asyncio.run(outcome)  # type: ignore[arg-type]
