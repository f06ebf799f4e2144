"""Running flows by the command, in a namespace that no other test sees."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from aweigh.settings import environment
from tests.cli.conftest import Done

# The command, except that what it starts belongs to the namespace named first.
PROGRAM = """
import sys
from aweigh.backends.engine.target.docker import DockerTarget
DockerTarget.__init__.__kwdefaults__["namespace"] = sys.argv.pop(1)
from aweigh.cli import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Flows:
    """The command in a project.

    Attributes:
        project: The project's directory.
        environ: The settings.
        namespace: What it starts belongs to.
    """

    project: Path
    environ: dict[str, str]
    namespace: str

    def start(self, *argv: str, **more: str) -> subprocess.Popen[str]:
        """Start `aweigh` and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self.namespace, *argv],
            cwd=self.project,
            env=environment() | self.environ | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *argv: str, **more: str) -> Done:
        """Run `aweigh` to its end."""
        process = self.start(*argv, **more)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return Done(process.returncode, out, err)

    def names(self) -> list[str]:
        """Return the names of what runs."""
        listed = self("ps", "--json", "-q")
        assert listed.code == 0, listed.err
        return [one["name"] for one in listed.json["running"]]

    def wait_for(self, count: int) -> list[str]:
        """Wait until so many things run."""
        deadline = time.monotonic() + 60
        while len(names := self.names()) != count:
            if time.monotonic() > deadline:
                raise TimeoutError(names)
        return names
