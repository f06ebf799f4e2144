"""From the SPEC argument to an image spec, and to the file it is read from."""

from pathlib import Path

import pytest

from aweigh.cli.load import load_spec, spec_file
from aweigh.errors import SpecError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a directory of our own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_is_read_anew_when_it_was_edited(here: Path) -> None:
    """A dev loop reads the spec again; everybody else takes what is loaded."""
    module = here / "specs_of_test_load.py"
    name = "specs_of_test_load:spec"
    text = "from aweigh import ImageSpec\nspec = ImageSpec('one')\n"
    module.write_text(text)
    assert spec_file(name) is None
    assert str(load_spec(name).name) == "one"
    assert spec_file(name) == str(module)
    module.write_text(text.replace("one", "other"))
    assert str(load_spec(name).name) == "one"
    assert str(load_spec(name, again=True).name) == "other"
    module.write_text("spec = (")
    with pytest.raises(SpecError, match="cannot load"):
        load_spec(name, again=True)


def test_files_name_themselves(here: Path) -> None:
    """The nearest pyproject.toml counts when nothing is named."""
    with pytest.raises(SpecError, match=r"no pyproject\.toml"):
        spec_file(None)
    (here / "pyproject.toml").write_text('[tool.aweigh.image]\nname = "x"\n')
    assert spec_file(None) == str(here / "pyproject.toml")
    assert spec_file("pyproject.toml") == "pyproject.toml"
    assert spec_file("nowhere:spec") is None


def test_what_a_module_raises_is_told(here: Path) -> None:
    """A user's mistake is a message with a hint, whatever it raises."""
    (here / "broken_of_test_load.py").write_text("1 / 0\n")
    with pytest.raises(SpecError, match="ZeroDivisionError") as told:
        load_spec("broken_of_test_load:spec")
    assert "python -c 'import broken_of_test_load'" in told.value.hint


def test_a_project_file_that_cannot_be_read(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither bytes that are no text nor missing rights end in a traceback."""
    (here / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_spec(None)

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(SpecError, match=r"cannot read .*: Permission denied"):
        load_spec(None)
