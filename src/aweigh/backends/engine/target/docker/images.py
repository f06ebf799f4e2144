"""The images of tasks, in the engine: pulled by digest when it lacks them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from aweigh.backends.engine.cause import network_hint
from aweigh.backends.engine.pull import request_pull
from aweigh.backends.engine.target.docker.faults import TARGET
from aweigh.errors import AuthenticationError, ImageGoneError, TargetError
from aweigh.events.flow import ImagePulled, PullProgressed

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.messages import Message
    from aweigh.backends.engine.pull import Refusal
    from aweigh.events import Listener
    from aweigh.flow.target import Task
    from aweigh.image.credential import CredentialSource
    from aweigh.oci import Reference

__all__ = ["TaskImages"]

_GONE = re.compile(
    r"manifest unknown|manifest for \S+ not found|name unknown|not known to registry"
    r"|repository \S+ not found|does not exist|unknown blob|blob unknown|: not found",
    re.IGNORECASE,
)
_GONE_HINT = (
    "it was deleted after we saw it: ensure it again (`aweigh ensure`), it will be "
    "built anew"
)


class TaskImages:
    """Has the images of tasks in one engine.

    Args:
        engine: Where they have to be.
        credentials: Who we are at registries.
        listener: Hears of pulls.
    """

    def __init__(
        self, engine: Engine, credentials: CredentialSource, listener: Listener
    ) -> None:
        self._engine = engine
        self._credentials = credentials
        self._listener = listener

    async def ensure(self, task: Task) -> None:
        """Have the image of a task in the engine.

        Raises:
            ImageGoneError: Neither the engine nor the registry has it.
            AuthenticationError: Its registry wants other credentials.
            TargetError: It cannot be pulled for another reason.
            EngineUnavailableError: The engine does not answer.
        """
        if await self._engine.fetch(f"images/{task.image}/json") is not None:
            return
        if task.reference is None:
            raise ImageGoneError(
                f"the engine at {self._engine.host} no longer has the image "
                f"{task.image}",
                hint=_GONE_HINT,
                target=TARGET,
            )
        await self._pull(task, task.reference)

    async def user(self, task: Task) -> str:
        """Return whom the programs of a task's image run as; empty for root."""
        found = await self._engine.fetch(f"images/{task.image}/json") or {}
        return str((found.get("Config") or {}).get("User") or "")

    async def _pull(self, task: Task, reference: Reference) -> None:
        started = time.perf_counter()
        image = _pinned(task, reference)
        refused = await request_pull(
            self._engine, image, self._credentials, on_message=self._hear
        )
        if refused is not None:
            raise _failed(image, refused)
        if await self._engine.fetch(f"images/{task.image}/json") is None:
            raise ImageGoneError(
                f"the engine pulled {image} and does not have it",
                hint="somebody may be removing images (docker image prune): try again",
                target=TARGET,
            )
        seconds = time.perf_counter() - started
        self._listener(ImagePulled(reference=image, seconds=seconds))

    def _hear(self, message: Message) -> None:
        layer, detail = message.get("id"), message.get("progressDetail")
        if message.get("status") == "Downloading" and isinstance(detail, dict):
            done, total = detail.get("current"), detail.get("total")
            if isinstance(done, int) and isinstance(total, int):
                self._listener(PullProgressed(layer=str(layer), done=done, total=total))


def _pinned(task: Task, reference: Reference) -> Reference:
    """Return the reference to pull: the task's image says the digest."""
    _, _, digest = task.image.rpartition("@")
    return reference.parse(f"{reference.name}@{digest}")


def _failed(image: Reference, refused: Refusal) -> AuthenticationError | TargetError:
    reason = refused.reason
    if _GONE.search(refused.said):
        return ImageGoneError(
            f"{image} cannot be pulled: {reason}", hint=_GONE_HINT, target=TARGET
        )
    if refused.wants_login:
        return AuthenticationError(
            f"{image.registry} does not let the engine pull {image}: {reason}",
            hint=f"log in with an account that may pull: docker login {image.registry}",
            registry=image.registry,
        )
    return TargetError(
        f"{image} cannot be pulled: {reason}",
        hint=network_hint(refused.said)
        or "the engine itself talks to the registry: check that it can reach it, and "
        "that it trusts its certificate",
        target=TARGET,
    )
