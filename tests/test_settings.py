"""Settings: who wins, how values are written, what is refused."""

from pathlib import Path

import platformdirs
import pytest

from aweigh.errors import SettingsError
from aweigh.settings import Settings, environment


@pytest.fixture(autouse=True)
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's own files out of the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = platformdirs.user_config_path("aweigh")
    folder.mkdir(parents=True)
    return folder / "config.toml"


def test_strongest_wins(tmp_path: Path, user_config: Path) -> None:
    """Call over environment over project over user over default."""
    user_config.write_text(
        'registry = "user"\nstore = "file:///user"\nconcurrency = 1\nengine = "user"'
    )
    project = tmp_path / "project"
    inner = project / "a" / "b"
    inner.mkdir(parents=True)
    (project / "pyproject.toml").write_text(
        '[tool.aweigh]\nregistry = "project"\nstore = "file:///project"\n'
        "concurrency = 2\n[tool.aweigh.image]\nname = 'ignored'\n"
    )
    environ = {"AWEIGH_REGISTRY": "environ", "AWEIGH_STORE": "file:///environ"}
    settings = Settings.load(inner, environ, registry="call")
    assert settings.registry == "call"
    assert settings.store == "file:///environ"
    assert settings.concurrency == 2
    assert settings.engine == "user"
    assert settings.image_fresh_for == 3600


def test_nearest_project_file_wins_and_others_are_passed_over(tmp_path: Path) -> None:
    """aweigh.toml is one; a pyproject.toml without our table is none."""
    (tmp_path / "aweigh.toml").write_text('registry = "outer"')
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert Settings.load(inner, {}).registry == "outer"


def test_empty_variable_is_unset(tmp_path: Path) -> None:
    """CI systems set variables to nothing."""
    assert Settings.load(tmp_path, {"AWEIGH_REGISTRY": ""}).registry is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5h", 5400), ("30d", 2592000), ("250ms", 0.25), ("2 m", 120)],
)
def test_durations(tmp_path: Path, text: str, seconds: float) -> None:
    """Durations have units."""
    settings = Settings.load(tmp_path, {"AWEIGH_IMAGE_TTL": text})
    assert settings.image_ttl == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1000", 1000), ("1KiB", 1024), ("2MB", 2_000_000), ("1GiB", 2**30), ("3k", 3000)],
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    """Sizes have units, and KiB is not kB."""
    settings = Settings.load(tmp_path, {"AWEIGH_BUNDLE_SIZE_LIMIT": text})
    assert settings.bundle_size_limit == size


def test_lists_and_flags(tmp_path: Path) -> None:
    """Lists are separated by commas or spaces; flags have many spellings."""
    environ = {
        "AWEIGH_INSECURE_REGISTRIES": "a:1, b:2 c:3",
        "AWEIGH_OFFLINE": "Yes",
        "AWEIGH_PRUNE_PROBABILITY": "0.5",
        "AWEIGH_CACHE_DIR": "~/here",
    }
    settings = Settings.load(tmp_path, environ)
    assert settings.insecure_registries == ("a:1", "b:2", "c:3")
    assert settings.offline is True
    assert settings.prune_probability == 0.5
    assert settings.cache_dir == Path("~/here").expanduser()
    (tmp_path / "aweigh.toml").write_text(
        'insecure-registries = ["x:1"]\noffline = false'
    )
    again = Settings.load(tmp_path, {})
    assert (again.insecure_registries, again.offline) == (("x:1",), False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("IMAGE_TTL", "soon"),
        ("IMAGE_TTL", "5 parsecs"),
        ("BUNDLE_SIZE_LIMIT", "-1"),
        ("CONCURRENCY", "many"),
        ("CONCURRENCY", "0"),
        ("OFFLINE", "perhaps"),
        ("ON_UNKNOWN", "shrug"),
        ("PRUNE_PROBABILITY", "2"),
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, name: str, text: str) -> None:
    """The message names the setting and the value."""
    with pytest.raises(SettingsError, match=name.lower()) as caught:
        Settings.load(tmp_path, {f"AWEIGH_{name}": text})
    assert text in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "registry = 3",
        "offline = 'perhaps'",
        "insecure_registries = [1]",
        "concurrency = true",
        "image_ttl = true",
        "prune_probability = false",
        "cache_dir = ''",
    ],
)
def test_wrong_types_in_a_file_are_refused(tmp_path: Path, line: str) -> None:
    """The message names the file."""
    (tmp_path / "aweigh.toml").write_text(line)
    with pytest.raises(SettingsError, match=r"aweigh\.toml"):
        Settings.load(tmp_path, {})


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    """A misspelt setting is not silently ignored."""
    with pytest.raises(SettingsError, match=r"unknown setting 'regsitry' in the call"):
        Settings.load(tmp_path, {}, regsitry="x")


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    """Broken TOML is an error that names the file."""
    (tmp_path / "aweigh.toml").write_text("registry =")
    with pytest.raises(SettingsError, match=r"aweigh\.toml"):
        Settings.load(tmp_path, {})


def test_default_store_is_below_the_data_directory(tmp_path: Path) -> None:
    """Without a store, bundles stay on this machine."""
    settings = Settings(data_dir=tmp_path)
    assert settings.store_url == (tmp_path / "store").as_uri()
    assert Settings(store="s3://b").store_url == "s3://b"


def test_settings_are_values() -> None:
    """Equal settings share a session, so they must be hashable."""
    assert {Settings(registry="a"), Settings(registry="a")} == {Settings(registry="a")}


def test_environment_is_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing it changes nothing."""
    monkeypatch.setenv("AWEIGH_CANARY", "1")
    copy = environment()
    copy["AWEIGH_CANARY"] = "2"
    assert environment()["AWEIGH_CANARY"] == "1"
