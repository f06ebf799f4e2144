"""Having the engine pull an image, with our credentials for its registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aweigh.backends.engine.auth import auth_header
from aweigh.backends.engine.messages import message_error
from aweigh.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.messages import Message
    from aweigh.image.credential import Credential
    from aweigh.oci import Platform, Reference

__all__ = ["request_pull"]


async def request_pull(
    engine: Engine,
    image: Reference,
    credential: Credential | None,
    *,
    platform: Platform | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> str:
    """Pull, and return why it failed; empty when the engine reports no error.

    Cancelling stops the pull; layers that arrived may stay in the engine.

    Raises:
        EngineUnavailableError: The engine does not answer.
    """
    said: list[str] = []

    def hear(message: Message) -> None:
        if error := message_error(message):
            said.append(error)
        elif on_message is not None:
            on_message(message)

    params = {"fromImage": image.name, "tag": image.target}
    if platform is not None:
        params["platform"] = str(platform)
    try:
        await engine.stream_messages(
            "images/create",
            hear,
            idle=engine.deadlines.build,
            params=params,
            headers=auth_header(image.registry, credential),
        )
    except EngineUnavailableError:
        raise
    except EngineError as exc:
        if exc.status is None:
            raise
        said.append(str(exc))
    return said[0] if said else ""
