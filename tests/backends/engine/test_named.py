"""The images a Dockerfile names."""

import pytest

from aweigh.backends.engine.named import named_images


@pytest.mark.parametrize(
    ("dockerfile", "images"),
    [
        ("FROM python:3.12", ["docker.io/library/python:3.12"]),
        ("from --platform=$BUILDPLATFORM ghcr.io/a/b AS x\nFROM X", ["ghcr.io/a/b"]),
        ("FROM scratch\nCOPY --from=ghcr.io/a/uv:1 /uv /uv", ["ghcr.io/a/uv:1"]),
        ("FROM a AS b\nFROM c\nCOPY --from=b / /\nCOPY --from=0 / /", ["a", "c"]),
        (
            "FROM a\nRUN --mount=type=bind,from=h:5/t,source=/uv,target=/u x",
            ["a", "h:5/t"],
        ),
        ("# FROM no\nARG V=1\nFROM a:$V", []),
        ("FROM a\nRUN echo from=nothing", ["a"]),
        ("FROM \\\n  a \\\n# comment\n  AS b\nFROM b", ["a"]),
        ("FROM a\nFROM a", ["a"]),
        ("FROM lib/UPPER:x\nRUN x \\", []),
    ],
)
def test_images_are_found(dockerfile: str, images: list[str]) -> None:
    """Stages, variables and comments are no images; each image is named once."""
    found = [
        str(image).removeprefix("docker.io/library/")
        for image in named_images(dockerfile)
    ]
    assert found == [image.removeprefix("docker.io/library/") for image in images]
