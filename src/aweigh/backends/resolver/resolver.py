"""Pins a spec's packages: locks as they are, then one uv resolution per set of indexes.

Local projects are wheels by now, and first-party; of one that is not, only what it
depends on is in the lock. Source distributions are kept
(`LockedWheel.is_wheel` is False) where no wheel would do; uv may then run their build
backend here, to learn what they depend on.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from aweigh.backends.resolver.faults import explain, needs_source
from aweigh.backends.resolver.groups import Group, arrange
from aweigh.backends.resolver.inputs import laid_out, read_text, text_of, write_files
from aweigh.backends.resolver.origin import steps_of
from aweigh.backends.resolver.prefer import preferences
from aweigh.backends.resolver.pylock import Reader, is_vcs, read_packages, write_lock
from aweigh.backends.resolver.target import Target
from aweigh.errors import ResolveError, SpecError
from aweigh.image.lock import Lock, LockedWheel, normalised
from aweigh.image.wheels import distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from aweigh.archive.member import Member
    from aweigh.backends.resolver.groups import Frozen, Plan
    from aweigh.backends.resolver.uv import Finished, Uv
    from aweigh.image.resolve import ResolveRequest

__all__ = ["UvResolver"]

_PYTHON_STEP = re.compile(
    r"steps/[0-9]+/(?!project(?:/|$)|(?:local/[^/]+/)?tree(?:/|$)|file$)"
)
_HASHED = re.compile(r"(?m)^([A-Za-z0-9._-]+).*\s--hash")
_HASH = re.compile(r"--hash[=\s]sha256:([0-9a-f]{64})")
_INSTALLED = re.compile(r"(?m)^ \+ (\S+?)==(\S+)")
_LOCK = "pylock.toml"
_CONSTRAINTS = "earlier.txt"
_ANNOTATED = "annotated.txt"
_PLAIN = ["--format", "pylock.toml", "--no-header", "--no-annotate"]


class UvResolver:
    """Pins packages with uv; needs the network unless uv's cache has it all.

    Args:
        uv: The program.
        seconds: How long one resolution may take.
    """

    def __init__(self, uv: Uv, *, seconds: float = 300.0) -> None:
        self._uv = uv
        self._seconds = seconds

    async def resolve(self, request: ResolveRequest, /) -> Lock:
        """Decide every version and file; downloads metadata and installs nothing.

        Cancelling kills uv at once, with all it started, and removes what was laid
        out for it.

        Raises:
            ResolveError: No set of versions fits, an index gave no answer, or it took
                too long.
            SpecError: A step cannot be resolved for this platform or Python.
        """
        target = Target(request.platform, request.python, request.manylinux)
        target.check()
        members = [
            member
            for member in request.snapshot.members
            if member.kind == "file" and _PYTHON_STEP.match(member.path)
        ]
        plan = arrange(request.spec, members, target)
        try:
            async with asyncio.timeout(self._seconds), laid_out(members) as root:
                run = _Run(self._uv, request, target, root, plan, members)
                wheels = await run.all()
        except TimeoutError:
            raise ResolveError(
                f"the packages were not pinned within {self._seconds:g} s",
                hint="check the package index and the network, then try again",
            ) from None
        return Lock(
            python=request.python,
            platform=request.platform,
            wheels=wheels,
            text=write_lock(request.python, wheels),
        )


@dataclass(slots=True)
class _Run:
    """One resolution: what is pinned so far binds what comes after."""

    uv: Uv
    request: ResolveRequest
    target: Target
    root: Path
    plan: Plan
    members: list[Member]
    pinned: dict[str, LockedWheel] = field(default_factory=dict)

    async def all(self) -> tuple[LockedWheel, ...]:
        """Pin everything, in lock order: third-party first, then by step and name."""
        for frozen in self.plan.frozen:
            await self._freeze(frozen)
        for group in self.plan.groups:
            await self._resolve(group)
        return tuple(
            sorted(
                self.pinned.values(),
                key=lambda one: (one.first_party, one.step, one.name),
            )
        )

    async def _freeze(self, frozen: Frozen) -> None:
        """Take what a lock has for the target; uv evaluates its markers."""
        directory = self.root / f"steps/{frozen.step}"
        if frozen.project is not None:
            argv = ["export", "--frozen", "--no-default-groups", *_PLAIN]
            argv += ["--output-file", _LOCK]
            if not frozen.project.install_project:
                argv.append("--no-emit-project")
            for extra in frozen.project.extras:
                argv += ["--extra", extra]
            for group in frozen.project.groups:
                argv += ["--group", group]
            self._check(await self.uv.run(argv, directory))
        local = self.plan.local
        text = local.locked(frozen.step, await read_text(directory / _LOCK))
        await write_files(directory, {_LOCK: text})
        packages = await asyncio.to_thread(read_packages, text)
        if not packages:
            return
        argv = ["pip", "install", "--dry-run", "--no-deps", "--target", "nowhere"]
        argv += ["--preview-features", "pylock", "-r", _LOCK, *self._target()]
        said = self._check(await self.uv.run(argv, directory)).said
        chosen = {
            (normalised(name), version) for name, version in _INSTALLED.findall(said)
        }
        names = {name for name, _ in chosen}
        reader = self._reader(directory)
        for package in packages:
            name = normalised(str(package.get("name")))
            version = package.get("version")
            if (name, version) in chosen or (version is None and name in names):
                own = name in local.names(frozen.step)
                self._pin(reader.choose(package, step=frozen.step, first_party=own))

    def _pin(self, wheel: LockedWheel) -> None:
        earlier = self.pinned.setdefault(wheel.name, wheel)
        if earlier.digest != wheel.digest:
            raise SpecError(
                f"steps {earlier.step} and {wheel.step} lock different files of "
                f"{wheel.name}: {earlier.version} and {wheel.version}",
                hint="lock them together, or leave one of them out",
            )

    async def _resolve(self, group: Group) -> None:
        directory = self.root / group.directory
        # Names of files are in annotations, so they must be those of the context.
        files = {name: self._rooted(text) for name, text in group.files.items()}
        files[f"{group.directory or '.'}/{_CONSTRAINTS}"] = self._constraints(group)
        if preferred := preferences(self.request):
            files[f"{group.directory or '.'}/{_LOCK}"] = preferred
        await write_files(self.root, files)
        argv = ["pip", "compile", *group.sources, *group.arguments]
        argv += ["--constraints", _CONSTRAINTS, *group.index_arguments()]
        argv += self._target()
        wheels_only = await self._compile(argv, directory)
        text = await read_text(directory / _LOCK)
        reader = self._reader(directory)
        found = [
            reader.choose(package, step=group.steps[0], first_party=False)
            for package in await asyncio.to_thread(read_packages, text)
        ]
        fresh = [one for one in found if one.name not in self.pinned]
        origin = await self._origin(group, [*argv, *wheels_only], fresh)
        for wheel in fresh:
            self.pinned[wheel.name] = self._attributed(wheel, origin)

    async def _compile(self, argv: list[str], directory: Path) -> list[str]:
        """Resolve with wheels alone; only if that fails, with source as well."""
        argv = [*argv, *_PLAIN, "--output-file", _LOCK]
        wheels_only = ["--only-binary", ":all:"]
        first = await self.uv.run([*argv, *wheels_only], directory)
        if first.code == 0:
            return wheels_only
        if needs_source(first.said):
            second = await self.uv.run(argv, directory)
            if second.code == 0:
                return []
        raise explain(first.said, str(self.root))

    async def _origin(
        self, group: Group, argv: list[str], fresh: Sequence[LockedWheel]
    ) -> dict[str, int]:
        """Ask which step needs what, when there is more than one answer."""
        if len(group.steps) == 1 or not fresh:
            return {}
        # What was just pinned is what this second look must come to.
        pins = (f"{one.name}=={one.version}\n" for one in fresh if not is_vcs(one))
        await write_files(self.root, {_ANNOTATED: "".join(pins)})
        style = ["--no-header", "--annotation-style", "split"]
        argv = [*argv, *style, "--output-file", _ANNOTATED]
        # All it needs was read a moment ago; only without a cache it is asked again.
        finished = await self.uv.run([*argv, "--offline"], self.root)
        if finished.code != 0:
            self._check(await self.uv.run(argv, self.root))
        return steps_of(await read_text(self.root / _ANNOTATED), group.steps)

    def _attributed(self, wheel: LockedWheel, origin: dict[str, int]) -> LockedWheel:
        own = wheel.url in self.plan.wheels
        step = int(wheel.url.split("/")[1]) if own else origin.get(wheel.name)
        return replace(
            wheel, step=wheel.step if step is None else step, first_party=own
        )

    def _constraints(self, group: Group) -> str:
        """Hold later resolutions to what is pinned, and to the user's own wheels.

        An index of another step may not have them, or have others of that name.
        """
        lines = [f"{one.name} @ {self._address(one)}" for one in self.pinned.values()]
        for path in self.plan.wheels:
            name, step = distribution(path.rpartition("/")[2]), path.split("/")[1]
            if name not in self.pinned and int(step) not in group.steps:
                lines.append(f"{name} @ {self._file_url(path)}")
        return "".join(f"{line}\n" for line in lines)

    def _address(self, wheel: LockedWheel) -> str:
        return wheel.url if "://" in wheel.url else self._file_url(wheel.url)

    def _file_url(self, path: str) -> str:
        return f"file://{quote(f'{self.root}/{path}')}"

    def _rooted(self, text: str) -> str:
        return text.replace("{root}", f"file://{quote(str(self.root))}")

    def _target(self) -> list[str]:
        return [
            *("--python-platform", self.target.triple),
            *("--python-version", self.target.python),
        ]

    def _reader(self, directory: Path) -> Reader:
        return Reader(
            self.target,
            str(self.root),
            str(directory),
            {member.path: member for member in self.members},
            _hashes(self.members),
        )

    def _check(self, finished: Finished) -> Finished:
        if finished.code != 0:
            raise explain(finished.said, str(self.root))
        return finished


def _hashes(members: Iterable[Member]) -> dict[str, frozenset[str]]:
    """Read the hashes of requirements files, which uv only checks when it installs."""
    found: dict[str, frozenset[str]] = {}
    for member in members:
        if not member.path.endswith(".txt"):
            continue
        for line in text_of(member).splitlines():
            if match := _HASHED.match(line):
                name = normalised(match[1])
                more = frozenset(_HASH.findall(line))
                found[name] = found.get(name, frozenset()) | more
    return found
