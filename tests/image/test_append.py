"""Code on top of an image: the manifest, the config and the index, as values."""

import json

import hypothesis.strategies as st
from hypothesis import given

from aweigh.image.append import append, code_config, code_index, runnable
from aweigh.image.code import CodeLayer
from aweigh.oci import Descriptor, Digest, Index, Manifest, Platform, describe
from aweigh.oci.config import ImageConfig
from aweigh.oci.manifest import (
    ATTESTATION_ANNOTATION,
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)

BIN = "/opt/venv/bin"
DIFF_ID = Digest.of(b"the tar of the code")
BLOB = Descriptor(
    media_type=OCI_LAYER_GZIP, digest=Digest.of(b"the code, packed"), size=16
)

names = st.from_regex(r"[A-Z_]{1,8}", fullmatch=True)
paths = st.lists(st.from_regex(r"/[a-z]{1,4}", fullmatch=True), max_size=4)
directories = st.sampled_from(["/app", "/a", "/srv/my code", "/opt/venv/bin"])


def layer(directory: str = "/app") -> CodeLayer:
    """Return a layer of code."""
    return CodeLayer(
        bundle=Digest.of(b"bundle"),
        directory=directory,
        compression="auto",
        members=tuple,
    )


def config(env: dict[str, str], *, layers: int = 2, **inner: object) -> ImageConfig:
    """Return the config of an image with so many layers."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-02-02T00:00:00Z",
        "config": {"Env": [f"{key}={value}" for key, value in env.items()], **inner},
        "rootfs": {
            "type": "layers",
            "diff_ids": [str(Digest.of(b"%d" % one)) for one in range(layers)],
        },
        "history": [
            {"created_by": "base"},
            {"created_by": "ENV", "empty_layer": True},
            *({"created_by": "more"} for _ in range(layers - 1)),
        ],
    }
    return ImageConfig.parse(json.dumps(document).encode())


@given(st.dictionaries(names, st.text("abc:/", max_size=5)), paths, paths, directories)
def test_the_environment_begins_with_the_code_and_keeps_the_rest(
    others: dict[str, str], path: list[str], python: list[str], directory: str
) -> None:
    """Whatever the image says, our places come first, once, and nothing is lost."""
    env = {**others, "PATH": ":".join(path), "PYTHONPATH": ":".join(python)}
    found = code_config(config(env), layer(directory), DIFF_ID).environment
    on_python = found.pop("PYTHONPATH").split(":")
    assert on_python[0] == directory
    assert on_python.count(directory) == 1
    assert on_python[1:] == [one for one in python if one != directory]
    on_path = found.pop("PATH").split(":")
    assert on_path[0] == BIN
    assert on_path.count(BIN) == 1
    assert not path or on_path[1:] == [one for one in path if one != BIN]
    assert found == {
        key: value for key, value in others.items() if key not in {"PATH", "PYTHONPATH"}
    }


def test_an_image_without_path_keeps_the_usual_one() -> None:
    """What a runtime assumes without PATH still counts behind ours."""
    found = code_config(config({}), layer(), DIFF_ID).environment
    assert found["PATH"].startswith(f"{BIN}:/usr/local/sbin:")
    assert found["PYTHONPATH"] == "/app"


def test_code_twice_changes_the_environment_once() -> None:
    """Code on an image with code: the same places, one layer more."""
    once = code_config(config({"PATH": "/bin"}), layer(), DIFF_ID)
    twice = code_config(once, layer(), DIFF_ID)
    assert twice.environment == once.environment
    assert len(twice.diff_ids) == len(once.diff_ids) + 1


def test_a_config_says_where_it_starts_and_how_it_came_to_be() -> None:
    """Working directory, one more layer and its history; all else stays."""
    below = config({"A": "1"}, Entrypoint=["/x"], User="1000", Labels={"a": "b"})
    made = code_config(below, layer("/srv/code"), DIFF_ID)
    assert made.workdir == "/srv/code"
    assert made.diff_ids == (*below.diff_ids, DIFF_ID)
    assert made.told[-1] == "aweigh code /srv/code"
    assert len(made.told) == 3
    inner = json.loads(made.to_bytes())["config"]
    assert (inner["Entrypoint"], inner["User"]) == (["/x"], "1000")
    assert made.labels == {"a": "b"}


def test_the_layers_below_keep_their_digests() -> None:
    """A manifest in Docker's types becomes OCI's: other words, the same blobs."""
    below = Manifest(
        config=Descriptor(
            media_type=DOCKER_CONFIG, digest=Digest.of(b"config"), size=6
        ),
        layers=tuple(
            Descriptor(
                media_type=DOCKER_LAYER_GZIP, digest=Digest.of(b"%d" % one), size=one
            )
            for one in range(2)
        ),
        media_type=DOCKER_MANIFEST,
    )
    manifest, content = append(below, config({}), layer(), BLOB, DIFF_ID)
    assert manifest.media_type == OCI_MANIFEST
    assert manifest.config == describe(content, OCI_CONFIG)
    assert [one.digest for one in manifest.layers[:2]] == [
        one.digest for one in below.layers
    ]
    assert {one.media_type for one in manifest.layers} == {OCI_LAYER_GZIP}
    added = manifest.layers[2]
    assert (added.digest, added.size) == (BLOB.digest, BLOB.size)
    assert added.annotations == {
        "aweigh.layer": "code",
        "aweigh.bundle": str(layer().bundle),
    }
    assert ImageConfig.parse(content).diff_ids[-1] == DIFF_ID


def test_appending_is_a_function_of_its_arguments() -> None:
    """The same code on the same image gives the same bytes everywhere."""
    below = Manifest(config=BLOB, layers=(BLOB,))
    one, first = append(below, config({"B": "2"}), layer(), BLOB, DIFF_ID)
    other, second = append(below, config({"B": "2"}), layer(), BLOB, DIFF_ID)
    assert (one.to_bytes(), first) == (other.to_bytes(), second)


def test_attestations_are_left_behind() -> None:
    """They vouch for the image below, and not for the one with the code."""
    amd, arm = (
        Descriptor(
            media_type=OCI_MANIFEST,
            digest=Digest.of(text.encode()),
            size=1,
            platform=Platform.parse(text),
        )
        for text in ("linux/amd64", "linux/arm64")
    )
    vouching = Descriptor(
        media_type=OCI_MANIFEST,
        digest=Digest.of(b"attestation"),
        size=1,
        platform=Platform.parse("unknown/unknown"),
        annotations={ATTESTATION_ANNOTATION: "attestation-manifest"},
    )
    nameless = Descriptor(media_type=OCI_MANIFEST, digest=Digest.of(b"x"), size=1)
    found = runnable(Index(manifests=(arm, vouching, amd, nameless)))
    assert found == [arm, amd]
    index = code_index(found, layer())
    assert index.manifests == (amd, arm)
    assert index.annotations == {"aweigh.bundle": str(layer().bundle)}
