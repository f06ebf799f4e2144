"""Tests beside real host systems run only when somebody asks: `make peers`."""

import pytest


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave them out, whatever else is chosen, unless the marker is named."""
    if "peers" in config.option.markexpr:
        return
    with_peers = [item for item in items if item.get_closest_marker("peers")]
    if with_peers:
        config.hook.pytest_deselected(items=with_peers)
        items[:] = [item for item in items if item not in with_peers]
