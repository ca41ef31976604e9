"""The guard by text alone."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_databases.dialects.sqlite import RULES
from opsroom_databases.sql_safety import MAX_SQL_BYTES, called, check
from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge, ToolFailure
from sqlglot.dialects.sqlite import SQLite

VOCABULARY = """SELECT FROM WHERE WITH x AS ( ) , ; * 1 "a" [b] `c` 'd' -- /* */ EXPLAIN QUERY PLAN PRAGMA table_info =
load_extension like LIKE IN VALUES UNION CASE WHEN END CAST DELETE ATTACH INTO x'00' ? :p @q $r \\ ' " [ \ufeff \u00e9"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\0"])


def judged(text: str) -> str:
    """What is to run, or the words of the refusal."""
    try:
        statement = check(text, RULES)
    except ToolFailure as failure:
        return str(failure).strip()
    return statement.sql if statement.query_sql in statement.sql else ""


@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_any_text_is_judged_in_words(text: str) -> None:
    """Whatever stands in a statement, it is passed or refused with a message; nothing else escapes."""
    assert judged(text)


@given(st.text(max_size=200))
def test_arbitrary_text_is_judged_in_words(text: str) -> None:
    """The same for text that is no SQL at all."""
    assert judged(text)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT abs(1), count(*)", ["abs", "count"]),
        ('SELECT "load_extension"(1), [edit] (2), `f`/* x */(3)', ["load_extension", "edit", "f"]),
        ("SELECT a IN (1), b LIKE ('x'), NOT (c), a AND (b) FROM t", []),
        ("SELECT like('a', b), glob('a', b) FROM t", ["like", "glob"]),
        ("WITH t(a, b) AS (SELECT f(1), 2), u(c) AS NOT MATERIALIZED (SELECT 3) SELECT * FROM t, u", ["f"]),
        ("WITH f(a) AS (SELECT 1) SELECT f(2) FROM f", ["f"]),
        ("SELECT CAST(a AS DECIMAL(10, 2)) FROM t", []),
        ("SELECT a FROM t GROUP BY (a) ORDER BY (SELECT 1), f(b)", ["f"]),
        ("SELECT 'load_extension(1)' -- load_extension(1)", []),
    ],
)
def test_called_functions_are_found(sql: str, names: list[str]) -> None:
    """A name before a parenthesis is a call, unless the grammar says that it is not."""
    assert [token.text for token in called(SQLite().tokenize(sql))] == names


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("", InvalidInput, "empty"),
        ("-- only this", InvalidInput, "only comments|nothing but comments"),
        ("SELECT 1; SELECT 2", NotPermitted, "One statement at a time"),
        ("DROP TABLE pets", NotPermitted, "DROP is not a query"),
        ("SELECT lod(1)", NotPermitted, "Did you mean mod or log"),
        ("SELECT 'a' FROM t WHERE", InvalidInput, "Something is missing here"),
        ("SELECT 'a FROM t", InvalidInput, "not closed"),
        ("SELECT cross FROM t", InvalidInput, "double quotes"),
        ("SELECT \ud800", InvalidInput, "not valid Unicode"),
        ("SELECT 1\0", InvalidInput, "NUL"),
        ("PRAGMA user_version = 3", NotPermitted, "PRAGMA user_version with a value"),
        ("PRAGMA tabel_info(x)", NotPermitted, "Did you mean table_info"),
        ("EXPLAIN DELETE FROM t", NotPermitted, "DELETE is not a query"),
        ("SELECT * FROM t WHERE a = :a", InvalidInput, "parameter"),
        ("SELECT " + "(" * 2_000 + "1" + ")" * 2_000, TooLarge, "nested too deeply"),
        ("SELECT '" + "x" * MAX_SQL_BYTES + "'", TooLarge, "longer than"),
        ("SELECT " + ",".join(["1"] * 20_000), TooLarge, "words"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else value.__name__,
)
def test_refusal_says_why(sql: str, error: type[ToolFailure], words: str) -> None:
    """A refused statement is answered with its reason."""
    with pytest.raises(error, match=words):
        check(sql, RULES)


def test_refusal_marks_the_place() -> None:
    """The message shows the line and a caret below what was refused."""
    with pytest.raises(NotPermitted) as caught:
        check("SELECT name,\n  load_extension('x')\nFROM t", RULES)

    assert str(caught.value).splitlines()[-2:] == ["  load_extension('x')", "  ^"]


@pytest.mark.parametrize(
    ("sql", "kind", "query"),
    [
        ("\ufeff SELECT 1 ; ", "query", "SELECT 1 ;"),
        ("EXPLAIN SELECT 1", "explain", "SELECT 1"),
        ("explain /* a */ query\nplan SELECT 1", "explain", "SELECT 1"),
        ("PRAGMA table_info(t)", "pragma", "PRAGMA table_info(t)"),
    ],
)
def test_statement_is_told_apart(sql: str, kind: str, query: str) -> None:
    """A statement that passes says what it is, and which text is the query in it."""
    statement = check(sql, RULES)

    assert (statement.kind, statement.query_sql) == (kind, query)


@pytest.mark.parametrize("depth", [90, 150])
def test_generated_nesting_passes(depth: int) -> None:
    """SQL that a program has written, with a level of parentheses for every condition, is no attack."""
    sql = "SELECT 1 WHERE " + "(" * depth + "1 = 1" + ") AND 1 = 1" * depth

    assert check(sql, RULES).sql == sql


def test_refused_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A statement may hold a secret, so not even the parser's own warning repeats it."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NotPermitted):
        check("VACUUM INTO 'hunter2'", RULES)

    assert "hunter2" not in caplog.text
