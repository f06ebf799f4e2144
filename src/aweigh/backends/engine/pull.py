"""Having the engine pull an image, with our credentials for its registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aweigh.backends.engine.auth import (
    auth_header,
    is_authentication_failure,
    secrets_of,
)
from aweigh.backends.engine.messages import message_error
from aweigh.backends.engine.text import clean_line
from aweigh.errors import EngineError, EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.messages import Message
    from aweigh.image.credential import CredentialSource
    from aweigh.oci import Platform, Reference

__all__ = ["Refusal", "request_pull"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an image could not be pulled.

    Attributes:
        said: What the engine reported, for telling causes apart; not to be shown.
        reason: The same as one line, without our secrets.
        had_login: Whether we have a credential for the registry.
    """

    said: str = field(repr=False)
    reason: str
    had_login: bool

    @property
    def wants_login(self) -> bool:
        """Whether the registry wants a login, or another one."""
        return is_authentication_failure(self.said)


async def request_pull(
    engine: Engine,
    image: Reference,
    credentials: CredentialSource,
    *,
    platform: Platform | None = None,
    on_message: Callable[[Message], None] | None = None,
) -> Refusal | None:
    """Pull, and return why it failed; None when the engine reports no error.

    Cancelling stops the pull; layers that arrived may stay in the engine.

    Raises:
        EngineUnavailableError: The engine does not answer.
    """
    said: list[str] = []
    credential = await credentials.credential(image.registry)

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
    if not said:
        return None
    return Refusal(
        said=said[0],
        reason=clean_line(said[0], secrets_of(credential)),
        had_login=credential is not None,
    )
