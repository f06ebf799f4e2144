"""An image spec as a TOML table: ``[tool.aweigh.image]``."""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aweigh.errors import SpecError
from aweigh.image.local_requirement import LocalRequirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aweigh.image.spec import ImageSpec

    _Spec = TypeVar("_Spec", bound=ImageSpec)

__all__ = ["Table", "apply_table", "read_table"]

_KEYS = frozenset(
    {
        *("name", "base", "python", "platforms", "apt", "optimize-layers"),
        *("packages", "index-url", "extra-index-urls", "find-links", "pre"),
        *("requirements", "lock", "project", "wheels"),
        *("env", "workdir", "files", "run", "user", "labels", "entrypoint"),
    }
)
_PROJECT_KEYS = frozenset({"path", "extras", "groups", "install"})


@dataclass(frozen=True, slots=True)
class Table:
    """One TOML table with typed access to its values.

    Attributes:
        where: What messages call it.
        values: The values as TOML gave them.
        directory: Absolute directory that relative paths start from.
    """

    where: str
    values: Mapping[str, object]
    directory: str

    def check_keys(self, known: Iterable[str]) -> None:
        """Refuse keys that mean nothing, naming the nearest that does.

        Raises:
            SpecError: There is such a key.
        """
        names = sorted(known)
        for key in self.values:
            if key not in names:
                near = difflib.get_close_matches(key, names, 1, 0.5)
                told = f"did you mean {near[0]!r}?" if near else ", ".join(names)
                raise SpecError(f"{self.where}: unknown key {key!r}", hint=told)

    def text(self, key: str) -> str | None:
        """Return a string, or None when the key is absent."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(key, "a string")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; one string is a list of one."""
        value = self.values.get(key, [])
        if isinstance(value, str):
            return (value,)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise self._wrong(key, "a list of strings")

    def pairs(self, key: str) -> dict[str, str]:
        """Return a table of strings."""
        value = self.values.get(key, {})
        if isinstance(value, dict) and all(
            isinstance(item, str) for item in value.values()
        ):
            return value
        raise self._wrong(key, "a table of strings")

    def truth(self, key: str, *, default: bool = False) -> bool:
        """Return a boolean; an absent one is the default."""
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        raise self._wrong(key, "true or false")

    def subtable(self, key: str) -> Table | None:
        """Return a table; a string is its ``path`` and true the directory itself."""
        value = self.values.get(key, False)
        if isinstance(value, str):
            value = {"path": value}
        elif isinstance(value, bool):
            value = {"path": "."} if value else None
        elif not isinstance(value, dict):
            raise self._wrong(key, "a path, true or a table")
        if value is None:
            return None
        return Table(f"{self.where}.{key}", value, self.directory)

    def path(self, text: str) -> str:
        """Anchor a path at the table's directory."""
        return os.path.normpath(Path(self.directory, text))

    def _wrong(self, key: str, wanted: str) -> SpecError:
        return SpecError(f"{self.where}: {key} is not {wanted}", hint=f"write {wanted}")


def read_table(path: Path) -> tuple[Table, str]:
    """Read ``[tool.aweigh.image]`` and what the image is called: else as the project.

    Raises:
        SpecError: There is no such file, table or name, or a key is unknown.
    """
    try:
        document: Mapping[str, object] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SpecError(
            f"cannot read {path}: {exc}", hint="name a TOML file with an image spec"
        ) from exc
    found = _descend(document, "tool", "aweigh", "image")
    if found is None:
        raise SpecError(
            f"{path} has no [tool.aweigh.image] table",
            hint="add it, such as: packages = ['numpy']",
        )
    table = Table(f"{path} [tool.aweigh.image]", found, str(path.absolute().parent))
    table.check_keys(_KEYS)
    name = table.text("name") or (_descend(document, "project") or {}).get("name")
    if not name or not isinstance(name, str):
        raise SpecError(
            f"{path} does not say what the image is called",
            hint='add name = "..." to [tool.aweigh.image], or a [project] table',
        )
    return table, name


def _descend(document: Mapping[str, object], *keys: str) -> dict[str, object] | None:
    value: object = document
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def apply_table(spec: _Spec, table: Table) -> _Spec:
    """Add the table's steps to a spec, in the documented order.

    Raises:
        SpecError: A value has the wrong type or breaks its grammar.
    """
    for add in (_add_system, _add_python, _add_project, _add_rest):
        spec = add(spec, table)
    return spec


def _add_system(spec: _Spec, table: Table) -> _Spec:
    if not table.truth("optimize-layers", default=True):
        spec = spec.replace(optimize_layers=False)
    spec = _add_all(spec.with_apt, table.texts("apt"), spec)
    if platforms := table.texts("platforms"):
        spec = spec.with_platforms(*platforms)
    return spec


def _add_all(add: Callable[..., _Spec], items: tuple[str, ...], spec: _Spec) -> _Spec:
    return add(*items) if items else spec


def _add_python(spec: _Spec, table: Table) -> _Spec:
    if lock := table.text("lock"):
        spec = spec.with_lock(table.path(lock))
    index_url = table.text("index-url")
    extra = table.texts("extra-index-urls")
    links = [
        link if "://" in link else table.path(link)
        for link in table.texts("find-links")
    ]
    pre = table.truth("pre")
    for path in table.texts("requirements"):
        spec = spec.with_requirements(
            table.path(path),
            index_url=index_url,
            extra_index_urls=extra,
            find_links=links,
            pre=pre,
        )
    if packages := table.texts("packages"):
        spec = spec.with_packages(
            *(_anchored(package, table) for package in packages),
            index_url=index_url,
            extra_index_urls=extra,
            find_links=links,
            pre=pre,
        )
    return spec


def _anchored(requirement: str, table: Table) -> str:
    """Let a requirement for a local project start at the table's directory."""
    local = LocalRequirement.parse(requirement)
    return local.at(Path(table.path(local.path)).as_uri()) if local else requirement


def _add_project(spec: _Spec, table: Table) -> _Spec:
    if project := table.subtable("project"):
        project.check_keys(_PROJECT_KEYS)
        spec = spec.with_project(
            project.path(project.text("path") or "."),
            extras=project.texts("extras"),
            groups=project.texts("groups"),
            install_project=project.truth("install"),
        )
    wheels = tuple(map(table.path, table.texts("wheels")))
    return _add_all(spec.with_wheel, wheels, spec)


def _add_rest(spec: _Spec, table: Table) -> _Spec:
    if env := table.pairs("env"):
        spec = spec.with_env(**env)
    if workdir := table.text("workdir"):
        spec = spec.with_workdir(workdir)
    for source, destination in table.pairs("files").items():
        spec = spec.with_files(table.path(source), destination)
    spec = _add_all(spec.with_run, table.texts("run"), spec)
    if user := table.text("user"):
        spec = spec.with_user(user)
    if labels := table.pairs("labels"):
        spec = spec.with_labels(labels)
    return _add_all(spec.with_entrypoint, table.texts("entrypoint"), spec)
