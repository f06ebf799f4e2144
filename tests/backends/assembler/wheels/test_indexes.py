"""Where uv gets wheels from, and what it is told."""

from uv import find_uv_bin

from aweigh.backends.assembler.wheels.indexes import Indexes, default_index
from aweigh.backends.assembler.wheels.lockfile import write_lock
from aweigh.image.lock import Lock
from aweigh.image.spec import ImageSpec
from aweigh.oci import Digest
from tests.backends.assembler.support import AMD64, wheel


def test_indexes_are_those_of_lock_step_and_environment() -> None:
    """In that order; a password stays where it is."""
    spec = ImageSpec("x").with_packages("a", index_url="https://step.test/simple")
    named = 'packages = [{ name = "A", version = "1.0", index = "https://lock.test" }]'
    variables = {"UV_INDEX_URL": "https://me:secret@env.test/simple?a=b"}
    with_name = {"UV_DEFAULT_INDEX": "private.one=https://me@env.test/simple"}

    def index(text: str, step: int, variables: dict[str, str] = variables) -> str:
        lock = Lock(python="3.11", platform=AMD64, wheels=(), text=text)
        return Indexes(spec, lock, variables).of(wheel("a.whl", step=step))

    assert index(named, 0) == "https://lock.test"
    assert index("", 0) == "https://step.test/simple"
    assert index("", 1) == "https://env.test/simple?a=b"
    assert index("", 1, with_name) == "https://env.test/simple"


async def test_uv_tells_its_default_index() -> None:
    """Its cache is arranged by index, so wheels must be asked for under the same."""
    told = await default_index(find_uv_bin(), {})
    assert told.startswith("https://")
    lock = Lock(python="3.11", platform=AMD64, wheels=(), text="")
    indexes = Indexes(ImageSpec("x").with_packages("a"), lock, {}, default=told)
    assert indexes.of(wheel("a.whl", step=0)) == told
    assert await default_index("/bin/true", {}) == ""


def test_a_lock_names_index_and_digest() -> None:
    """So that uv finds the wheel in its cache, and checks it."""
    text = write_lock([wheel('a"b.whl')], lambda _: "https://index.test")
    assert 'index = "https://index.test"' in text
    assert f'sha256 = "{Digest.of(b"a").hex}"' in text
    assert r"a\"b.whl" in text
