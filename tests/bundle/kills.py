"""Whole commands in processes of their own, killed at any moment, and what is left."""

import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from aweigh.settings import environment
from tests.services import Services, setting

# A fifth of the database's, for these take a second each: 200 in `make soak`.
KILL_ROUNDS = max(6, int(setting("AWEIGH_KILL_ROUNDS") or 20) // 5)
_MANY = 50
MIB = 1 << 20
PASSING = ".aweigh-put-"


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill a run.

    Attributes:
        after: Seconds.
        within_work: Whether they count from the first trace of its work, or from the
            start of the process.
    """

    after: float
    within_work: bool


@dataclass(slots=True, kw_only=True)
class Place:
    """Directories for one run of kills, and how to start a command in them.

    Attributes:
        root: Everything is below it.
        store: The store's URL.
        variables: What else the commands' environment has.
        took: Seconds that whole commands took.
    """

    root: Path
    store: str
    variables: dict[str, str] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the directories."""
        for name in ("code", "tmp", "home"):
            (self.root / name).mkdir(exist_ok=True)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `aweigh` as a user does."""
        own = {
            "AWEIGH_STORE": self.store,
            "AWEIGH_CACHE_DIR": str(self.root / "cache"),
            "AWEIGH_DATA_DIR": str(self.root / "data"),
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "aweigh", *arguments],
            env=environment() | own | self.variables,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, whole: bool) -> str:
        """Run a command to its end, which must be a good one.

        Args:
            arguments: The command.
            whole: Whether it has everything to do, so that its time counts.
        """
        began = time.monotonic()
        out, told = self.start(*arguments).communicate(timeout=120)
        if whole:
            self.took.append(time.monotonic() - began)
        assert out, told.decode()
        return out.decode()

    def kill(
        self, moment: Moment, begun: Callable[[], object], *arguments: str
    ) -> bool:
        """Kill a command at a moment; whether it was still alive then.

        Args:
            moment: When: within the whole run, or within the work that is seen.
            begun: Whether there is any trace of its work.
            arguments: The command.
        """
        child = self.start(*arguments)
        if moment.within_work:
            while child.poll() is None and not begun():
                time.sleep(0.001)
        try:
            child.communicate(timeout=moment.after)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        return child.returncode == -signal.SIGKILL

    def left(self) -> set[str]:
        """Name what is in our directories, but for lock files, which stay for ever."""
        return {
            str(path.relative_to(self.root))
            for name in ("cache", "data", "tmp", "home")
            for path in (self.root / name).rglob("*")
            if path.suffix != ".lock" and not path.is_dir()
        }


def moments(place: Place, rounds: int) -> Iterator[Moment]:
    """Draw moments: random, all parts of the run alike, half of them in its work.

    How long a run is follows the runs of late: others may be using the machine. Its
    first half is the interpreter's start and the imports.
    """
    dice = Random(7)  # noqa: S311
    parts = [(number + dice.random()) / rounds for number in range(rounds)]
    dice.shuffle(parts)
    for number, part in enumerate(parts):
        whole = median(place.took[-5:])
        within_work = number % 2 == 1
        yield Moment(part * whole / (1 + within_work), within_work=within_work)


def write_code(root: Path, salt: int, *, large: int) -> None:
    """Write a tree of which nothing was in a store before: small files, a large one."""
    dice = Random(salt)  # noqa: S311
    noise = dice.randbytes(MIB)
    shutil.rmtree(root, ignore_errors=True)
    for folder in range(12):
        inside = root / f"package{folder}"
        inside.mkdir(parents=True)
        for number in range(50):
            (inside / f"m{number}.py").write_bytes(noise[number * 99 :][:4000])
    with (root / "large.bin").open("wb") as file:
        for number in range(large):
            file.write(number.to_bytes(8, "big") + noise[8:])
    (root / "package0" / "m0.py").chmod(0o755)
    (root / "link").symlink_to("package0/m1.py")
    (root / "empty").mkdir()


class FileObjects:
    """The objects of a store in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()

    def objects(self) -> dict[str, bytes]:
        """Read what readers may see."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and PASSING not in path.name
        }

    def begun(self) -> bool:
        """Whether there is anything at all."""
        return self.root.exists()

    def unfinished(self) -> int:
        """Count what is under way, or was."""
        return len(list(self.root.glob(f"{PASSING}*")))

    def empty(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.root, ignore_errors=True)


class S3Objects:
    """The objects below a prefix of the S3 server, through its plain API."""

    def __init__(self, services: Services, prefix: str) -> None:
        self.url = f"s3://{services.s3_bucket}/{prefix}"
        self._bucket = f"{services.s3_endpoint}/{services.s3_bucket}"
        self._prefix = f"{prefix}/"
        # Nobody checks it, but who has none may not delete.
        self._signed = (
            f"AWS4-HMAC-SHA256 Credential={services.s3_access_key}/20260101/us-east-1/"
            "s3/aws4_request, SignedHeaders=host, Signature=0"
        )
        self.variables = {
            "AWS_ENDPOINT_URL": services.s3_endpoint,
            "AWS_ACCESS_KEY_ID": services.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": services.s3_secret_key,
            "AWS_REGION": "us-east-1",
        }

    def _ask(self, path: str = "", method: str = "GET", **query: str) -> bytes:
        url = f"{self._bucket}/{path}?{urlencode(query)}".rstrip("?")
        headers = {"Authorization": self._signed}
        request = Request(url, method=method, headers=headers)  # noqa: S310
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            body: bytes = answer.read()
        return body

    def _list(self, kind: str, **query: str) -> list[ET.Element]:
        told = ET.fromstring(self._ask(prefix=self._prefix, **query))  # noqa: S314
        space = told.tag.partition("}")[0] + "}"
        return [
            each
            for each in told.iter(space + kind)
            if each.find(space + "Key") is not None
        ]

    @staticmethod
    def _text(element: ET.Element, name: str) -> str:
        found = element.find(element.tag.partition("}")[0] + "}" + name)
        assert found is not None
        return found.text or ""

    def objects(self) -> dict[str, bytes]:
        """Read what readers may see."""
        names = [self._text(each, "Key") for each in self._list("Contents")]
        return {name[len(self._prefix) :]: self._ask(name) for name in names}

    def begun(self) -> bool:
        """Whether there is anything at all."""
        return bool(self._list("Contents") or self.unfinished())

    def unfinished(self) -> int:
        """Count the uploads in parts that were neither ended nor given up."""
        return len(self._list("Upload", uploads=""))

    def empty(self) -> None:
        """Remove everything, also what is unfinished."""
        for each in self._list("Contents"):
            self._ask(self._text(each, "Key"), "DELETE")
        for each in self._list("Upload", uploads=""):
            upload = self._text(each, "UploadId")
            self._ask(self._text(each, "Key"), "DELETE", uploadId=upload)


def covers(outcomes: Counter[str]) -> bool:
    """Whether the moments were all over the run; a few rounds cannot tell."""
    rounds = sum(outcomes.values())
    return rounds < _MANY or (
        outcomes["during"] >= rounds / 5 and outcomes["before"] >= rounds / 20
    )


def tell(what: str, outcomes: Counter[str], rounds: int) -> None:
    """Print how often each outcome came, for whoever runs with -rP."""
    told = ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    print(f"{what}: {rounds} rounds: {told}")


def bytes_of(root: Path) -> dict[str, tuple[bytes, int]]:
    """Read a tree: contents or link targets, and exec bits, by path."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = (os.fsencode(path.readlink()), -1)
            elif path.is_file():
                found[key] = (path.read_bytes(), path.stat().st_mode & 0o111)
            else:
                found[key] = (b"", -2)
    return found
