"""References: the grammar of the distribution project, and what we make of it."""

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aweigh.errors import InvalidReferenceError
from aweigh.oci import Digest, Reference

HEX = "ab" * 32
DIGEST = f"sha256:{HEX}"

ALPHANUMERIC = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=6)
COMPONENTS = st.builds(
    lambda first, rest: first + "".join(a + b for a, b in rest),
    ALPHANUMERIC,
    st.lists(
        st.tuples(st.sampled_from([".", "_", "__", "-", "--", "---"]), ALPHANUMERIC),
        max_size=2,
    ),
)
HOSTS = st.sampled_from(
    [
        "localhost",
        "localhost:5000",
        "ghcr.io",
        "a.b-c.example:443",
        "127.0.0.1:1",
        "[::1]:5000",
        "[fe80::1]",
        "Registry",
    ]
)
TAGS = st.builds(
    str.__add__,
    st.sampled_from(string.ascii_letters + string.digits + "_"),
    st.text(string.ascii_letters + string.digits + "_.-", max_size=12),
)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest(raw.hex()))
HUB = st.lists(COMPONENTS, min_size=2, max_size=3).map("/".join)
REFERENCES = st.builds(
    Reference,
    HOSTS,
    st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join),
    TAGS | st.just(""),
    DIGESTS | st.none(),
) | st.builds(
    Reference, st.just("docker.io"), HUB, TAGS | st.just(""), DIGESTS | st.none()
)


@given(reference=REFERENCES)
def test_text_means_the_same_reference(reference: Reference) -> None:
    """What a reference prints is what it is read from."""
    assert Reference.parse(str(reference)) == reference


@given(text=st.text(max_size=40) | st.text("aA0./:@[]_-", max_size=24))
def test_any_text_is_a_stable_reference_or_refused(text: str) -> None:
    """No text crashes the parser; an accepted one reads the same the second time."""
    try:
        reference = Reference.parse(text)
    except InvalidReferenceError:
        return
    assert Reference.parse(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("python", "docker.io", "library/python", "", ""),
        ("python:3.12-slim", "docker.io", "library/python", "3.12-slim", ""),
        ("library/python", "docker.io", "library/python", "", ""),
        ("docker.io/python", "docker.io", "library/python", "", ""),
        ("index.docker.io/python", "docker.io", "library/python", "", ""),
        ("registry-1.docker.io/a/b", "docker.io", "a/b", "", ""),
        ("acme/train", "docker.io", "acme/train", "", ""),
        ("localhost/x", "localhost", "x", "", ""),
        ("localhost:5000", "docker.io", "library/localhost", "5000", ""),
        ("localhost:5000/x", "localhost:5000", "x", "", ""),
        (f"localhost:5000/x:t@{DIGEST}", "localhost:5000", "x", "t", DIGEST),
        (f"python@{DIGEST}", "docker.io", "library/python", "", DIGEST),
        ("[::1]:5000/x", "[::1]:5000", "x", "", ""),
        ("[::1]/x:t", "[::1]", "x", "t", ""),
        ("ghcr.io/a/b/c_d/e__f/g--h", "ghcr.io", "a/b/c_d/e__f/g--h", "", ""),
        ("Host/x", "Host", "x", "", ""),
        ("a:1/b:2", "a:1", "b", "2", ""),
        (f"x/{HEX}", "docker.io", f"x/{HEX}", "", ""),
        ("x:" + "t" * 128, "docker.io", "library/x", "t" * 128, ""),
    ],
)
def test_accepted(
    text: str, registry: str, repository: str, tag: str, digest: str
) -> None:
    """People's spellings mean what Docker makes of them."""
    found = Reference.parse(text)
    assert (found.registry, found.repository, found.tag) == (registry, repository, tag)
    assert str(found.digest or "") == digest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "component ''"),
        ("Python", "component 'Python'"),
        ("library/Python", "component 'Python'"),
        ("ghcr.io/acme/Train:1", "component 'Train'"),
        ("a//b", "component ''"),
        ("/x", "component ''"),
        ("x/", "component ''"),
        ("a..b/c", "registry 'a..b'"),
        ("x/a___b", "component 'a___b'"),
        ("x/-a", "component '-a'"),
        ("x\n", "component"),
        ("x:", "tag ''"),
        ("x:-a", "tag '-a'"),
        ("x:a\n", "tag 'a\\n'"),
        ("x:" + "t" * 129, "tag '" + "t" * 129),
        ("x@", "digest ''"),
        ("x@junk", "digest 'junk'"),
        ("x@sha512:" + "ab" * 64, "digest 'sha512:"),
        (f"x@{DIGEST.upper()}", "digest 'SHA256:"),
        (f"x@{DIGEST}@{DIGEST}", "digest"),
        (f"x@{DIGEST}:t", "digest"),
        (HEX, "image id"),
        ("http://ghcr.io/x", "registry 'http:'"),
        ("-h.io/x", "registry '-h.io'"),
        ("h_h.io/x", "registry 'h_h.io'"),
        ("h.io:port/x", "registry 'h.io:port'"),
        ("[::g]:1/x", "registry '[::g]:1'"),
        ("ghcr.io/\u212a", "component"),
    ],
)
def test_refused_with_the_wrong_part(text: str, shown: str) -> None:
    """The error shows which part is wrong, and says how to write it."""
    with pytest.raises(InvalidReferenceError) as caught:
        Reference.parse(text)
    assert shown in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("scheme", ["", "https://"])
def test_passwords_are_not_repeated(scheme: str) -> None:
    """A reference with user and password is refused without showing them."""
    with pytest.raises(InvalidReferenceError, match="it has a user") as caught:
        Reference.parse(f"{scheme}ann:canary@ghcr.io/x")
    assert "docker login" in caught.value.hint
    assert "ann" not in str(caught.value)
    assert "canary" not in repr(caught.value) + repr(caught.value.__cause__)


def test_names_end_at_255_characters() -> None:
    """Registry, slash and repository may have 255 characters, and not one more."""
    longest = "h.io/" + "a" * 250
    assert Reference.parse(longest).name == longest
    with pytest.raises(InvalidReferenceError, match="256 characters"):
        Reference.parse(longest + "a")
    assert len(Reference.parse("a" * 237).name) == 255
    with pytest.raises(InvalidReferenceError, match="256 characters"):
        Reference.parse("a" * 238)


def test_copies_point_elsewhere() -> None:
    """A tag or a digest takes the place of whatever the reference pointed at."""
    reference = Reference.parse(f"h.io/x:old@{DIGEST}")
    assert str(reference.with_tag("new")) == "h.io/x:new"
    other = Digest.of(b"other")
    assert str(reference.with_digest(other)) == f"h.io/x@{other}"
    with pytest.raises(InvalidReferenceError, match="tag 'a b'"):
        reference.with_tag("a b")


def test_target_is_what_the_registry_is_asked_for() -> None:
    """The digest wins over the tag; with neither it is the tag `latest`."""
    assert Reference.parse(f"h.io/x:t@{DIGEST}").target == DIGEST
    assert Reference.parse("h.io/x:t").target == "t"
    assert Reference.parse("h.io/x").target == "latest"


@given(references=st.lists(REFERENCES, max_size=6))
def test_references_sort(references: list[Reference]) -> None:
    """Any references sort, with and without tags and digests."""
    pinned = [reference.with_digest(Digest.of(b"x")) for reference in references]
    found = sorted(references + pinned)
    assert all(a <= b for a, b in pairwise(found))


def test_references_do_not_sort_with_text() -> None:
    """A text is no reference, so comparing them is a mistake."""
    with pytest.raises(TypeError):
        assert Reference.parse("x") < "x"
