"""RECORD is read as it was written."""

from hypothesis import given
from hypothesis import strategies as st

from aweigh.backends.assembler.wheels.records import Row, read_record, write_record
from aweigh.oci import Digest


@given(
    st.lists(
        st.builds(
            Row,
            st.text(
                st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1
            ),
            st.sampled_from(["", Row.of("", b"x").hash]),
            st.sampled_from(["", "1"]),
        )
    )
)
def test_records_come_back(rows: list[Row]) -> None:
    """Whatever paths contain: commas, quotes, letters of any script."""
    assert read_record(write_record(rows).decode()) == sorted(set(rows))


def test_a_row_has_a_digest_or_none() -> None:
    """Only SHA-256 is understood."""
    assert Row.of("a", b"abc").digest == Digest.of(b"abc")
    assert Row("a", "md5=abc").digest is None
    assert Row("a", "sha256=abc").digest is None
    assert Row("a", "sha256=a").digest is None
