"""Trees to upload, a memory to remember in, and an uploader wired from both."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from aweigh.archive.compress import unzstd
from aweigh.bundle.archives import deliver_archive
from aweigh.bundle.bundle import Bundle
from aweigh.bundle.deliver import deliver
from aweigh.bundle.form import Form
from aweigh.bundle.freight import Deliver
from aweigh.bundle.listing import decode
from aweigh.bundle.pack import open_manifest
from aweigh.bundle.recall import BundlePolicy
from aweigh.bundle.store import Store
from aweigh.bundle.upload import BundleUploader
from aweigh.concurrency.single_flight import SingleFlight
from aweigh.events import Event, Listener
from aweigh.memory import Record, Table
from aweigh.oci.digest import Digest
from aweigh.testing.store import MemoryStore
from aweigh.tree.entry import Entry, Kind


def file(path: str, content: bytes = b"", *, executable: bool = False) -> Entry:
    """Make a file's entry."""
    return Entry(path, Kind.FILE, executable, len(content), Digest.of(content))


def symlink(path: str, target: str) -> Entry:
    """Make a symlink's entry."""
    return Entry(path, Kind.SYMLINK, False, 0, None, target)


def folder(path: str) -> Entry:
    """Make an empty directory's entry."""
    return Entry(path, Kind.DIRECTORY, False, 0, None)


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Sort entries as a tree does."""
    return tuple(sorted(entries, key=lambda entry: os.fsencode(entry.path)))


NAMES = st.sampled_from(
    ["a", "b", "ab", "a.py", "a-b", "m", "\u00e9", "\udcff", "A", "a\nb", "x" * 300]
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def _made(drawn: dict[str, tuple[str, bytes]]) -> tuple[Entry, ...]:
    entries = []
    for path, (kind, content) in drawn.items():
        if any(other.startswith(f"{path}/") for other in drawn):
            continue
        match kind:
            case "l":
                entries.append(symlink(path, os.fsdecode(content) or "t"))
            case "d":
                entries.append(folder(path))
            case _:
                entries.append(file(path, content, executable=kind == "x"))
    return in_order(entries)


CONTENT = st.binary(max_size=4).map(lambda raw: raw.replace(b"\0", b"0"))
TREES = st.dictionaries(
    PATHS, st.tuples(st.sampled_from("fxld"), CONTENT), max_size=6
).map(_made)


async def delivered(form: Form) -> Deliver:
    """Return what puts bundles of a form into stores."""
    return deliver if form is Form.PACKS else deliver_archive


def write_tree(root: Path) -> Path:
    """Write a tree with one of everything that a bundle keeps."""
    (root / "pkg" / "empty").mkdir(parents=True)
    (root / "main.py").write_text("print('hello')\n")
    (root / "pkg" / "data.bin").write_bytes(bytes(range(256)) * 40)
    (root / "pkg" / "\u00e9t\u00e9.py").write_text("x = 1\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("pkg/data.bin")
    return root


def contents(root: Path) -> dict[str, object]:
    """Read a tree back: what it holds, by path, the slow and obvious way."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    found.pop(".aweigh-bundle", None)
    return found


def objects_of(store: MemoryStore, bundle: Bundle) -> tuple[list[str], str]:
    """Return the names of a bundle's objects: its packs, in order, and the manifest."""
    name = f"bundles/{bundle.digest.hex}/manifest"
    manifest = open_manifest(store.objects[name], bundle.digest, name=name)
    return [pack.name for pack in manifest.packs], name


def entries_of(store: MemoryStore, bundle: Bundle) -> list[Entry]:
    """Read what a store's bundle lists."""
    entries: list[Entry] = []
    for name in objects_of(store, bundle)[0]:
        raw = b"".join(unzstd([store.objects[name]], limit=1 << 30))
        entries += decode(raw[8 : 8 + int.from_bytes(raw[:8], "big")])
    return entries


class DictMemory:
    """A memory in a dictionary that never expires anything by itself."""

    def __init__(self) -> None:
        """Begin empty."""
        self.rows: dict[tuple[Table, str], Record] = {}

    async def recall(self, table: Table, key: str, /) -> Record | None:
        """Return a row."""
        return self.rows.get((table, key))

    async def remember(self, records: Iterable[Record], /) -> None:
        """Keep rows."""
        self.rows.update({(record.table, record.key): record for record in records})

    async def forget(self, table: Table, keys: Iterable[str], /) -> None:
        """Drop rows."""
        for key in keys:
            self.rows.pop((table, key), None)


@dataclass(kw_only=True)
class Bench:
    """An uploader with everything it talks to, and a clock that a test moves."""

    store: Store = field(default_factory=MemoryStore)
    memory: DictMemory = field(default_factory=DictMemory)
    events: list[Event] = field(default_factory=list)
    now: float = 1_000_000.0
    policy: BundlePolicy = field(default_factory=BundlePolicy)
    flights: SingleFlight[Bundle] | None = None
    locks: Path | None = None
    also: Listener | None = None
    opened: int = 0

    async def _open(self) -> Store:
        self.opened += 1
        return self.store

    def _listen(self, event: Event, /) -> None:
        self.events.append(event)
        if self.also is not None:
            self.also(event)

    def uploader(self) -> BundleUploader:
        """Wire an uploader."""
        return BundleUploader(
            store=self._open,
            deliver=delivered,
            store_url=self.store.url,
            policy=self.policy,
            listener=self._listen,
            clock=lambda: self.now,
            flights=self.flights,
            locks=self.locks,
        )

    async def upload(
        self,
        root: Path,
        *,
        follow: bool = False,
        exclude: tuple[str, ...] = (),
        form: Form = Form.PACKS,
    ) -> Bundle:
        """Upload and remember, as a session does."""
        uploaded = await self.uploader().upload(
            root,
            memory=self.memory,
            follow=follow,
            exclude=exclude,
            size_limit=None,
            form=form,
        )
        await self.memory.remember(uploaded.records)
        return uploaded.bundle

    def told(self, kind: type[Event]) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if isinstance(event, kind)]
