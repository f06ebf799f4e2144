"""What a base has installed is told from paths, layer by layer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.assembler.bases.distributions import installed, telling

SITE = "usr/local/lib/python3.12/site-packages"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (f"{SITE}/pip-24.0.dist-info", f"{SITE}/pip-24.0.dist-info"),
        (f"{SITE}/pip-24.0.dist-info/METADATA", f"{SITE}/pip-24.0.dist-info"),
        (
            "usr/lib/python3/dist-packages/six-1.16.0-py3.11.egg-info",
            "usr/lib/python3/dist-packages/six-1.16.0-py3.11.egg-info",
        ),
        (f"{SITE}/pip/__init__.py", None),
        (f"{SITE}/.wh.pip-24.0.dist-info", f"{SITE}/.wh.pip-24.0.dist-info"),
        ("usr/local/lib/.wh.python3.12", "usr/local/lib/.wh.python3.12"),
        ("var/cache/.wh.apt", None),
        ("srv/wheels/pip-24.0.dist-info/METADATA", None),
        ("usr/lib/python3.12/site-packages/nameless.dist-info", None),
    ],
)
def test_what_of_a_path_tells(path: str, kept: str | None) -> None:
    """Metadata of distributions and what hides it; nothing else is kept."""
    assert telling(path) == kept


def told(*layers: list[str], python: str = "3.12") -> dict[str, str]:
    """Return what an interpreter in /usr/local sees of these layers."""
    metadata = {str(place): paths for place, paths in enumerate(layers)}
    interpreter = f"/usr/local/bin/python{python}"
    return dict(installed(metadata, python=python, interpreter=interpreter))


def test_names_and_versions() -> None:
    """Names are normalised; what another interpreter sees does not count."""
    assert told(
        [
            f"{SITE}/Flask_Login-0.6.3.dist-info",
            f"{SITE}/six-1.16.0-py3.12.egg-info",
            "usr/local/lib/python3.11/site-packages/old-1.dist-info",
            "opt/other/lib/python3.12/site-packages/far-1.dist-info",
        ]
    ) == {"flask-login": "0.6.3", "six": "1.16.0"}


@pytest.mark.parametrize(
    "hidden",
    [
        f"{SITE}/.wh.pip-24.0.dist-info",
        f"{SITE}/.wh..wh..opq",
        "usr/local/lib/.wh.python3.12",
    ],
)
def test_upper_layers_hide_lower_ones(hidden: str) -> None:
    """An upgrade in a layer above replaces what was below, never its own content."""
    below = [f"{SITE}/pip-24.0.dist-info"]
    assert told(below, [hidden, f"{SITE}/pip-25.1.dist-info"]) == {"pip": "25.1"}
    assert told([hidden, *below]) == {"pip": "24.0"}


def test_layers_count_in_their_order_beyond_ten() -> None:
    """Layer 10 is above layer 9, though not by its letters."""
    layers: list[list[str]] = [[] for _ in range(11)]
    layers[9] = [f"{SITE}/pip-24.0.dist-info"]
    layers[10] = [f"{SITE}/.wh.pip-24.0.dist-info"]
    assert told(*layers) == {}


@given(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,10}[a-z0-9]", fullmatch=True),
    st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,3}){0,3}(rc1|\.post1|\+cpu)?", fullmatch=True),
)
def test_any_name_and_version(name: str, version: str) -> None:
    """Whatever an installer writes is read back."""
    path = f"{SITE}/{name}-{version}.dist-info"
    assert telling(f"{path}/RECORD") == path
    assert list(told([path]).values()) == [version]
