"""Bytes are cut into bounded lines, however they arrive."""

from hypothesis import given
from hypothesis import strategies as st
from opsroom.tools.lines import EDGE, Lines, Oversize


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 30))
def test_chunks_do_not_matter(chunks: list[bytes], limit: int) -> None:
    """The lines are those of the whole text; each is as it was, or reported with its true size."""
    lines = Lines(limit)
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    *expected, rest = b"".join(chunks).split(b"\n")
    last = lines.rest()

    sizes = [line.size if isinstance(line, Oversize) else len(line) for line in found]
    assert sizes == [len(line) for line in expected]
    assert [line for line in found if isinstance(line, bytes)] == [line for line in expected if len(line) <= limit]
    assert (last.size if isinstance(last, Oversize) else len(last or b"")) == len(rest)


def test_both_ends_of_a_long_line_are_kept() -> None:
    """Of a line of 100 MB, fed in pieces, memory holds the limit and the two ends."""
    lines = Lines(1_000)
    pieces = [b"head" + b"x" * 100_000, *[b"x" * 100_000] * 999, b"tail"]
    for piece in pieces:
        assert list(lines.feed(piece)) == []
    (line,) = lines.feed(b"\nnext")

    assert isinstance(line, Oversize)
    assert (line.head, line.tail) == (b"head" + b"x" * (EDGE - 4), b"x" * (EDGE - 4) + b"tail")
    assert line.size == 100_000_008
    assert lines.rest() == b"next"
