"""The JSON messages of the engine's long answers: builds, pulls and pushes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aweigh.errors import EngineError

__all__ = ["Message", "MessageSplitter", "message_error"]

Message = Mapping[str, Any]

# One message can hold many log lines of a step, in base64; none is this long.
_MESSAGE_LIMIT = 32 * 1024 * 1024


class MessageSplitter:
    """Joins the pieces of an answer and hands out its whole messages."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[Message]:
        """Take a piece and return the messages it completes.

        Raises:
            EngineError: A line is no JSON object, or has no end.
        """
        # A searched byte is not searched again: long messages come in many pieces.
        if b"\n" not in piece:
            self._rest += piece
            if len(self._rest) > _MESSAGE_LIMIT:
                raise self._unusable("a message without an end")
            return []
        *lines, rest = bytes(self._rest + piece).split(b"\n")
        self._rest = bytearray(rest)
        return [self._parse(line) for line in lines if line.strip()]

    def finish(self) -> list[Message]:
        """Return the message that no line break follows, if any.

        Raises:
            EngineError: It is cut off.
        """
        rest, self._rest = bytes(self._rest), bytearray()
        return [self._parse(rest)] if rest.strip() else []

    def _parse(self, line: bytes) -> Message:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise self._unusable("a line that is no JSON, or half of one") from exc
        if not isinstance(message, dict):
            raise self._unusable("a line that is no JSON object")
        return message

    def _unusable(self, what: str) -> EngineError:
        return EngineError(
            f"the engine at {self._host} sent {what}",
            hint="something between us and the engine altered or cut its answer; "
            "try again, or use the engine's own socket",
        )


def message_error(message: Message) -> str:
    """Return the error a message carries, empty when it carries none."""
    detail = message.get("errorDetail")
    said = detail.get("message") if isinstance(detail, dict) else None
    return str(said or message.get("error") or "")
