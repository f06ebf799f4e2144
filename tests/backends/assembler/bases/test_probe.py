"""What the files of a base say."""

import pytest

from aweigh.backends.assembler.bases.probe import Findings, scan_layer
from aweigh.errors import (
    DamagedError,
)
from tests.backends.assembler.support import tar


def test_a_library_as_link_tells_its_version() -> None:
    """As older releases of Debian and Ubuntu have it; musl is told by its loader."""
    findings = Findings()
    scan_layer([tar({"lib/x86_64-linux-gnu/libc.so.6": "libc-2.31.so"})], findings)
    assert findings.libc == "glibc 2.31"
    musl = Findings()
    scan_layer([tar({"lib/ld-musl-x86_64.so.1": b"x"})], musl)
    assert musl.libc == "musl 1.2"
    with pytest.raises(DamagedError):
        scan_layer([b"no tar at all" * 100], Findings())


def test_links_that_turn_in_circles_end() -> None:
    """A strange base must not hang us."""
    findings = Findings(links={"/a": "/b", "/b": "/a"})
    assert findings.resolve("/a/x") in {"/a/x", "/b/x"}
