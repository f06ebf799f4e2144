"""The environment of uv."""

from aweigh.backends.assembler.uvenv import scrubbed, uv_environment


def test_uv_keeps_credentials_and_loses_switches() -> None:
    """What steers the network stays, what steers the result goes."""
    kept = uv_environment({
        "HOME": "/h",
        "UV_INDEX_ACME_PASSWORD": "x",
        "UV_CACHE_DIR": "/c",
        "UV_NO_BINARY": "1",
        "PYTHONPATH": "/p",
        "VIRTUAL_ENV": "/v",
    })  # fmt: skip
    assert set(kept) == {"HOME", "UV_INDEX_ACME_PASSWORD", "UV_CACHE_DIR"}
    assert scrubbed("get https://me:secret@host/x") == "get https://host/x"
