"""Bringing base images into the engine before a build.

BuildKit gets no credentials through the build endpoint, so what is private has to be
in the engine already; pulling first also tells a missing base from a failing step.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aweigh.backends.engine.cause import network_hint
from aweigh.backends.engine.local import inspect_image, tag_image
from aweigh.backends.engine.pull import request_pull
from aweigh.errors import AuthenticationError, BuildError
from aweigh.events import Warned
from aweigh.events.build import BuildStepFinished, BuildStepStarted
from aweigh.memory import record_key
from aweigh.oci import Reference

if TYPE_CHECKING:
    from aweigh.backends.engine.client import Engine
    from aweigh.backends.engine.local import LocalImage
    from aweigh.backends.engine.pull import Refusal
    from aweigh.events import Listener
    from aweigh.image.credential import CredentialSource
    from aweigh.oci import Platform

__all__ = ["BASE_REPOSITORY", "BaseImages"]

# Where an engine asks a registry before its own store, this one is nobody's.
BASE_REPOSITORY = "localhost/aweigh-base"
_SHOWN = 40
_SCRATCH = "docker.io/library/scratch"
_TYPO_HINT = (
    "check the spelling of the image and its tag; if it is private, log in to "
    "{registry} (docker login {registry})"
)


class BaseImages:
    """The images builds start from, in one engine.

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

    async def ensure(self, base: Reference, platform: Platform) -> Reference:
        """Have a base in the engine and return a name that stays the right one.

        The engine keeps one platform per registry name, and pulling another platform
        moves the name; so a build starts from a local name of base and platform.
        A base without digest is taken as it is when the engine has it: whoever wants
        the registry's present one pins it.

        Raises:
            BuildError: The base is missing, for this platform at least.
            AuthenticationError: Its registry wants other credentials.
            EngineError: The engine is missing or failed to pull.
        """
        if base.name == _SCRATCH:
            return base
        alias = _alias(base, platform)
        found = await self._find(base, platform)
        if found is None and base.digest is not None:
            found = await self._find(alias, platform)
        if found is None:
            found = await self._pull(base, platform)
        await tag_image(self._engine, found.id, BASE_REPOSITORY, alias.tag)
        return alias

    async def ensure_private(self, image: Reference, platform: Platform) -> None:
        """Have an image in the engine that BuildKit could not pull by itself.

        What needs no credential is left to BuildKit, and so is the verdict on what
        cannot be pulled: a Dockerfile may ask for another platform than its image's.

        Raises:
            AuthenticationError: Its registry wants other credentials.
            EngineError: The engine is missing or failed to pull.
        """
        if await self._find(image, platform) is not None:
            return
        if await self._credentials.credential(image.registry) is None:
            return
        try:
            await self._pull(image, platform)
        except BuildError as exc:
            self._listener(Warned(message=str(exc), hint=exc.hint))

    async def _find(self, image: Reference, platform: Platform) -> LocalImage | None:
        found = await inspect_image(self._engine, str(image))
        return found if found is not None and found.platform == platform else None

    async def _pull(self, image: Reference, platform: Platform) -> LocalImage:
        step = f"pull {image}"
        self._listener(BuildStepStarted(step=step))
        started = time.perf_counter()
        refused = await request_pull(
            self._engine, image, self._credentials, platform=platform
        )
        if refused is not None:
            raise _unavailable(image, platform, refused)
        found = await inspect_image(self._engine, str(image))
        if found is None or found.platform != platform:
            has = f"only for {found.platform}" if found else "not after pulling it"
            raise BuildError(
                f"the base {image} exists {has}, and {platform} is wanted",
                hint="name a base that exists for every platform you build for",
                step=step,
            )
        self._listener(
            BuildStepFinished(
                step=step, cached=False, seconds=time.perf_counter() - started
            )
        )
        return found


def _alias(base: Reference, platform: Platform) -> Reference:
    key = record_key("base", str(base), str(platform))
    # The readable part is for the people who see the name in a step.
    shown = base.repository.rpartition("/")[2][:_SHOWN]
    return Reference.parse(f"{BASE_REPOSITORY}:{shown}-{key[:16]}")


def _unavailable(
    image: Reference, platform: Platform, refused: Refusal
) -> AuthenticationError | BuildError:
    said = refused.said
    hint = _TYPO_HINT.format(registry=image.registry)
    # "pull access denied" is also what Docker Hub says of images that do not exist.
    if refused.wants_login and "does not exist" not in said:
        return AuthenticationError(
            f"{image.registry} does not let us pull {image}: {refused.reason}",
            hint=hint,
            registry=image.registry,
        )
    if unreachable := network_hint(said):
        # Asked without a login, an engine may report its second, plain-text attempt.
        hint = unreachable if refused.had_login else f"{unreachable}; and {hint}"
    if "no matching manifest" in said or "does not match" in said:
        hint = f"the image exists, but not for {platform}: name another base"
    return BuildError(
        f"the base {image} cannot be had: {refused.reason}",
        hint=hint,
        step=f"pull {image}",
    )
