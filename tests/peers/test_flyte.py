"""Flyte 2 with our image builder: digests, no assumptions, and images that run."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.peers.environment import ROOT, Peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import AccessLog
    from tests.services import Services

pytestmark = pytest.mark.peers

EXAMPLE = ROOT / "examples" / "flyte" / "image.py"


@pytest.fixture(scope="module")
def flyte() -> Peer:
    """Return Flyte, with aweigh beside it."""
    return Peer("flyte")


@pytest.fixture
def environ(live_environ: dict[str, str], services: Services) -> dict[str, str]:
    """Return variables for a process that uses our services."""
    return live_environ | {"EXAMPLE_BASE": services.base}


def test_the_example_builds_once(
    flyte: Peer, environ: dict[str, str], access_log: AccessLog
) -> None:
    """Flyte gets a digest from our builder; its next process asks nobody."""
    first = flyte.run(environ, "python", EXAMPLE).strip()
    assert "/flyte-example@sha256:" in first
    access_log.mark()
    assert flyte.run(environ, "python", EXAMPLE).strip() == first
    assert not [line for line in access_log.lines() if "flyte-example" in line]


def test_flyte_finds_the_builder_by_its_name(
    flyte: Peer, environ: dict[str, str]
) -> None:
    """The configuration's `builder: aweigh` is enough: the package says where it is."""
    code = (
        "from flyte.extend import ImageBuildEngine as engine;"
        " print(engine._get_builder('aweigh'))"
    )
    assert "FlyteImageBuilder" in flyte.run(environ, "python", "-c", code)


def test_the_image_is_what_flyte_described(
    flyte: Peer, environ: dict[str, str], services: Services, tmp_path: Path
) -> None:
    """Packages, variables, the working directory and files are in the image."""
    image = flyte.run(environ, "python", EXAMPLE).strip()
    script = tmp_path / "look.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, json, sys
            from aweigh.backends.engine import open_engine, run_container

            LOOK = (
                "import humanize, os, json; print(json.dumps([humanize.__version__,"
                " os.environ['GREETING'], os.getcwd(), os.listdir()]))"
            )

            async def main(host, image):
                async with open_engine(host) as engine:
                    name, _, digest = image.partition("@")
                    await engine.stream_messages(
                        "images/create", lambda message: None, idle=60,
                        params={"fromImage": name, "tag": digest},
                    )
                    code = await run_container(
                        engine, image, ["python", "-c", LOOK], on_log=print
                    )
                raise SystemExit(code)

            asyncio.run(main(*sys.argv[1:]))
            """
        )
    )
    said = flyte.run(environ, "python", script, services.engine, image)
    assert json.loads(said) == ["4.13.0", "ahoy", "/srv", ["image.py"]]


def translate(flyte: Peer, environ: dict[str, str], image: str) -> str:
    """Translate an image, given as an expression, and return the steps or the error."""
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        import flyte
        from aweigh.errors import SpecError
        from aweigh.integrations.flyte import to_spec
        base = flyte.Image.from_base("b:1").clone(name="n", extendable=True)
        try:
            print(to_spec({image}).steps)
        except SpecError as error:
            print("refused:", error, "--", error.hint)
        """
    )
    return flyte.run(environ, "python", "-c", code).strip()


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("base.with_apt_packages('git')", "AptStep(packages=('git',))"),
        ("base.with_commands(['make'])", "RunStep(commands=('make',))"),
        ("base.with_pip_packages('a', pre=True)", "pre=True"),
        ("base.with_pip_packages('a', extra_args='-v')", "refused: extra_args"),
        ("base.with_pip_packages('a', secret_mounts='s')", "refused: secret_mounts"),
        ("base.with_requirements(Path('r.txt'))", "RequirementsStep"),
        ("base.with_env_vars({'A': '$B'})", "refused: the variable A"),
        ("base.with_source_file(Path('f.py'))", "refused: where f.py goes"),
        (
            "base.with_workdir('/w').with_source_file(Path('f.py'))",
            "FilesStep(source='f.py', destination='/w/')",
        ),
        (
            "base.with_workdir('/w').with_source_folder(Path('src'))",
            "FilesStep(source='src', destination='/w/src')",
        ),
        ("base.with_code_bundle()", "()"),
        (
            "flyte.Image.from_debian_base((3, 12), install_flyte=False, name='x')",
            "AptStep(packages=('build-essential', 'ca-certificates'))",
        ),
    ],
)
def test_translations(
    flyte: Peer, environ: dict[str, str], image: str, said: str
) -> None:
    """Each of Flyte's layers becomes a step, or is refused with what to do instead."""
    assert said in translate(flyte, environ, image)


def test_undecided_is_an_error(
    flyte: Peer, environ: dict[str, str], tmp_path: Path
) -> None:
    """Where nobody can say whether the image exists, Flyte does not assume that."""
    environ |= {
        "AWEIGH_REGISTRY": "127.0.0.1:9",
        "AWEIGH_CACHE_DIR": str(tmp_path / "empty"),
    }
    with pytest.raises(AssertionError, match=r"127\.0\.0\.1:9"):
        flyte.run(environ, "python", EXAMPLE)
