"""Configs of images."""

import json

import pytest

from aweigh.errors import (
    InvalidManifestError,
)
from aweigh.oci import Digest
from aweigh.oci.config import ImageConfig

CONFIG = {
    "os": "linux",
    "architecture": "amd64",
    "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"1"))]},
}


def test_a_config_without_history_gets_none() -> None:
    """A history must fit the layers, or be missing."""
    config = ImageConfig.parse(json.dumps(CONFIG | {"history": []}).encode())
    more = config.with_layers([("x", Digest.of(b"2"))])
    assert "history" not in more.document
    assert len(more.diff_ids) == 2
    assert config.path.startswith("/usr/local/sbin:")


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"os": 1}', b'{"os": "linux"}'])
def test_what_is_no_config_is_refused(content: bytes) -> None:
    """Whatever the registry sent."""
    with pytest.raises(InvalidManifestError):
        ImageConfig.parse(content)
