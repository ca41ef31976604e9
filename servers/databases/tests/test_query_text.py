"""Other people's queries, fit to show."""

import pytest
from opsroom_databases.query_text import shown_query


@pytest.mark.parametrize(
    ("dialect", "sql", "shown"),
    [
        ("postgres", "SELECT *\n FROM t1 -- a\n WHERE a = 'x''y' AND b = $1", "SELECT * FROM t1 WHERE a = ? AND b = $1"),
        ("postgres", "SELECT $$geheim$$, $t$a $$ b$t$, E'a\\'b' || d, 'c\\' || d", "SELECT ?, ?, ? || d, ? || d"),
        ("postgres", "SELECT \"a \"\"b\" , U&'x', b'1', a1.b2, 1.5e-3, .5", 'SELECT "a ""b" , ?, ?, a1.b2, ?, ?'),
        ("postgres", "UPDATE t SET password = 'gehei", "UPDATE t SET password = ?"),
        ("postgres", "SELECT 1 /* geheim", "SELECT ?"),
        ("postgres", "SELECT $x$geheim", "SELECT ?"),
        ("postgres", "SELECT ($1, $2, $3, $4, $5)", "SELECT ($1, …)"),
        ("mysql", 'SELECT "ge\\"heim", `a``b`, 0xff # x\n FROM t', "SELECT ?, `a``b`, ? FROM t"),
        ("mysql", "INSERT INTO t VALUES (?, ?, ?, ?)", "INSERT INTO t VALUES (?, …)"),
        ("mysql", "SELECT 'a\\", "SELECT ?"),
        ("mysql", "SELECT 1--1", "SELECT ?--?"),
        ("sqlite", "", ""),
        ("sqlite", "SELECT \x1b[2J1", "SELECT ?"),
    ],
)
def test_values_and_comments_are_left_out(dialect: str, sql: str, shown: str) -> None:
    """Names and keywords stay; values, comments and what an engine cut in the middle of a value do not."""
    assert shown_query(sql, dialect) == shown


def test_long_query_is_cut() -> None:
    """A long query is cut with a mark of what is missing."""
    shown = shown_query(f"SELECT {', '.join(f'column_{letter}' for letter in 'abcdefgh' * 40)}", "postgres", 100)

    assert len(shown) <= 100
    assert "characters)" in shown


@pytest.mark.parametrize(
    "sql", ["'" + "\\" * 9_000, "/*" * 5_000, "$a$" * 3_000, "1" * 9_000, "?," * 5_000, '"' * 9_001, "e+" * 5_000]
)
@pytest.mark.parametrize("dialect", ["mysql", "postgres"])
def test_hostile_query_costs_little(sql: str, dialect: str) -> None:
    """A text that is made to be slow to read is read and cut within the time of a test."""
    assert len(shown_query(sql, dialect)) <= 160
