"""One build by the engine's BuildKit: a Dockerfile and files go in, an image comes out.

Source: the Docker Engine API's ``POST /build`` with ``version=2``; the facts it leaves
out are in moby's ``api/server/router/build/build_routes.go``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aweigh.archive.member import Member
from aweigh.archive.stream import in_thread
from aweigh.archive.tar import tar_chunks
from aweigh.backends.engine.cause import build_hint
from aweigh.backends.engine.messages import message_error
from aweigh.backends.engine.progress import BuildProgress
from aweigh.backends.engine.text import clean_line
from aweigh.errors import BuildError, EngineError, InvalidDigestError
from aweigh.oci import Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.messages import Message
    from aweigh.events import Listener
    from aweigh.oci import Platform

__all__ = ["BuildKitJob", "run_buildkit"]

# BuildKit's error repeats the command, which the step's name shows already.
_REPEATED = re.compile(
    r"^(?:failed to solve: )?(?:executor failed running \[.*\]: "
    r"|process \".*\" did not complete successfully: )"
)
_DOCKERFILE = "Dockerfile.aweigh"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildKitJob:
    """What BuildKit is to build.

    Attributes:
        dockerfile: The text of the Dockerfile.
        members: The files of the context.
        tag: The name the image gets: ``repository:tag``.
        platform: What to build for.
        labels: Labels to put on the image.
        refresh: Run every step again.
    """

    dockerfile: str
    members: Iterable[Member]
    tag: str
    platform: Platform
    labels: Mapping[str, str]
    refresh: bool = False


async def run_buildkit(
    engine: Engine, job: BuildKitJob, listener: Listener, secrets: Iterable[str] = ()
) -> Digest:
    """Build, tag the result in the engine's store, and return its image id.

    The context is streamed, never held in memory. Cancelling stops the running step
    within a second; nothing is tagged then.

    Args:
        engine: Where to build.
        job: What to build.
        listener: Hears steps and their lines.
        secrets: Texts that no event and no error may show.

    Raises:
        BuildError: A step failed, or the Dockerfile is wrong.
        ChangedError: A file of the context is not what it was.
        EngineError: The engine is missing, hung, broke off or has no BuildKit.
    """
    hidden = tuple(secrets)
    heard = _BuildMessages(BuildProgress(listener, hidden))
    dockerfile = job.dockerfile.encode()
    member = Member(
        path=_DOCKERFILE, kind="file", size=len(dockerfile), source=dockerfile
    )
    await engine.stream_messages(
        "build",
        heard.feed,
        idle=engine.deadlines.build,
        params=_parameters(job),
        body=in_thread(tar_chunks([member, *job.members])),
        headers={"Content-Type": "application/x-tar"},
    )
    if heard.error:
        raise _failed(heard, job, hidden)
    if heard.image is None:
        raise EngineError(
            f"the engine at {engine.host} ended the build of {job.tag} without result",
            hint="it may have been restarted or be out of disk: try again; it must "
            "have BuildKit (Docker Engine 20.10 or newer)",
        )
    return heard.image


def _parameters(job: BuildKitJob) -> dict[str, str]:
    parameters = {
        "version": "2",
        "dockerfile": _DOCKERFILE,
        "t": job.tag,
        "platform": str(job.platform),
        "labels": json.dumps(dict(sorted(job.labels.items()))),
        # The one network that every engine has, also one without bridges and iptables.
        "networkmode": "host",
        "rm": "1",
    }
    # `pull` is never sent: without a session it makes BuildKit fail on private bases.
    if job.refresh:
        parameters["nocache"] = "1"
    return parameters


class _BuildMessages:
    """Hears a build; keeps its result, hands its traces on."""

    def __init__(self, progress: BuildProgress) -> None:
        self.progress = progress
        self.error = ""
        self.image: Digest | None = None

    def feed(self, message: Message) -> None:
        self.error = self.error or message_error(message)
        aux = message.get("aux")
        match message.get("id"):
            case "moby.buildkit.trace" if isinstance(aux, str):
                self.progress.feed(aux)
            case "moby.image.id" if isinstance(aux, dict):
                self.image = _digest(aux.get("ID"))


def _digest(value: object) -> Digest | None:
    try:
        return Digest.parse(str(value))
    except InvalidDigestError:
        return None


def _failed(
    heard: _BuildMessages, job: BuildKitJob, secrets: tuple[str, ...]
) -> BuildError:
    said = _REPEATED.sub("", clean_line(" ".join(heard.error.split()), secrets))
    failed = heard.progress.failure()
    step, log = (failed.name, failed.log) if failed else ("", ())
    where = f"step {step!r}" if step else "the build"
    return BuildError(
        f"{where} failed: {said}",
        hint=build_hint(said, log, job.platform),
        step=step,
        log=log,
    )
