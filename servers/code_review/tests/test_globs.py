"""Paths and repositories against globs."""

import pytest
from opsroom_code_review.globs import matches


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("src/a.py", "src/a.py", True),
        ("src/a.py", "./src/a.py", True),
        ("src/deep/a.py", "src/", True),
        ("src/deep/a.py", "src", True),
        ("srcs/a.py", "src", False),
        ("src/a.py", "*.py", True),
        ("src/a.py", "src/*.py", True),
        ("src/deep/a.py", "src/*.py", False),
        ("src/deep/a.py", "src/**/*.py", True),
        ("src/a.py", "src/**/*.py", True),
        ("src/deep/a.py", "**", True),
        ("docs/a.md", "src/**", False),
        ("app/[id]/page.tsx", "app/[id]/page.tsx", True),
        ("acme/checkout", "acme/*", True),
        ("other/checkout", "acme/*", False),
        ("acme/checkout", "", False),
    ],
)
def test_matches(path: str, pattern: str, *, expected: bool) -> None:
    """A pattern means what people write it for."""
    assert matches(path, pattern) is expected


def test_no_pattern_is_slow() -> None:
    """Stars upon stars, against a deep path, take no time that a caller could use against the server."""
    assert not matches("a/" * 1_000 + "b", "**/" * 300 + "*a*a*a*a*a*a*a*c")
    assert not matches("a" * 4_000, "*a" * 40 + "b/c")
