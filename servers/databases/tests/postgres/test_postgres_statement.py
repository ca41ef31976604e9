"""The guard by text alone, and the scanner under it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_databases.dialects.postgres_lexer import scan
from opsroom_databases.dialects.postgres_statement import Reading, read
from opsroom_databases.dialects.tokens import Kind
from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge, ToolFailure

_WORDS = """
    SELECT FROM WHERE WITH x AS ( ) , ; * 1 1.5 "a" 'd' E'\\' E'\\'' $$ $a$ -- /* */ EXPLAIN ANALYZE FORMAT JSON SHOW VALUES TABLE
    FOR UPDATE INTO DELETE IN CASE WHEN END :: . := => + - @ $1 U&"b" \\ \ufeff pg_sleep
    """
PIECES = st.sampled_from([*_WORDS.split(), "\n", "\r", "\u00a0", "é"])


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=200))
def test_any_text_is_judged_in_words(text: str) -> None:
    """Whatever stands in a statement, it is passed or refused with a message; nothing else escapes."""
    try:
        said = read(text).query_sql
    except ToolFailure as failure:
        said = str(failure)

    assert said.strip()


@given(st.lists(PIECES, max_size=30).map(" ".join))
def test_blanked_text_means_the_same(text: str) -> None:
    """Without its comments a statement has the same tokens in the same places, and no comment."""
    try:
        scanned = scan(text)
    except InvalidInput:
        return

    assert len(scanned.sql) == len(text)
    assert scan(scanned.sql).tokens == scanned.tokens
    assert scan(scanned.sql).sql == scanned.sql


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a -- b\rc", ["a", "c"]),
        ("a /* b /* c */ d */ e", ["a", "e"]),
        ("'a''b' 'c\\' d", ["''", "''", "d"]),
        ("E'a\\'b' c", ["''", "c"]),
        ("e'a'\n-- x\n'b\\' c' d", ["''", "d"]),
        ("'a' 'b'", ["''", "''"]),
        ("$a$ $b$ $a$ c", ["''", "c"]),
        ("a$a$ b", ["a$a$", "b"]),
        ('"A""b" B', ['A"b', "b"]),
        ("U&'\\0061' B'1' x'f' N'q'", ["''", "''", "''", "''"]),
        ("a@-1 b*-2 c<-3", ["a", "@-", "1", "b", "*", "-", "2", "c", "<", "-", "3"]),
        ("a+/* */+b", ["a", "+", "+", "b"]),
        ("a--b\n||c", ["a", "||", "c"]),
        ("1.5e3 1..2 .5 t.a::int", ["1.5e3", "1", "..", "2", ".5", "t", ".", "a", "::", "int"]),
        ("ÄB_1 straße$", ["Äb_1", "straße$"]),
        ("a\u00a0b", ["a\u00a0b"]),
        ("a" * 70, ["a" * 63]),
        ("é" * 40, ["é" * 31]),
    ],
)
def test_text_is_cut_as_the_engine_cuts_it(text: str, tokens: list[str]) -> None:
    """Comments, literals, names and operators end where PostgreSQL's scanner ends them."""
    found = ["''" if token.kind is Kind.STRING else token.text for token in scan(text).tokens]

    assert found == tokens


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("", InvalidInput, "empty"),
        ("-- only this", InvalidInput, "nothing but comments"),
        ("SELECT 1; SELECT 2", NotPermitted, "One statement at a time"),
        ("DROP TABLE guests", NotPermitted, "DROP is not a query"),
        ("SELECT 'a", InvalidInput, "does not end"),
        ("SELECT /* a", InvalidInput, "does not end"),
        ('SELECT ""', InvalidInput, "is empty"),
        ("SELECT \\", InvalidInput, "no meaning"),
        ("SELECT (1", InvalidInput, "parentheses do not match"),
        ("SELECT 1)", InvalidInput, "parentheses do not match"),
        ("SELECT $1", InvalidInput, "no values for parameters"),
        ("SELECT a INTO b", NotPermitted, "makes a table"),
        ("SELECT a FOR SHARE", NotPermitted, "lock rows"),
        ("SELECT * FROM PG_AUTHID", NotPermitted, "pg_authid may not be read"),
        ("EXPLAIN (ANALYZE, INTO x) SELECT 1", NotPermitted, "no such option"),
        ("EXPLAIN (ANALYZE SELECT 1", InvalidInput, "options of EXPLAIN"),
        ("EXPLAIN ANALYZE", InvalidInput, "needs a query"),
        ("SHOW a = 1", InvalidInput, "name of a setting"),
        ("SELECT " + "(" * 500 + "1" + ")" * 500, TooLarge, "nested too deeply"),
        ("SELECT " + ",".join(["1"] * 20_000), TooLarge, "words"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else value.__name__,
)
def test_refusal_says_why(sql: str, error: type[ToolFailure], words: str) -> None:
    """A refused statement is answered with its reason."""
    with pytest.raises(error, match=words):
        read(sql)


@pytest.mark.parametrize(
    ("sql", "sort", "query"),
    [
        ("\ufeff SELECT 1 ; ;", "query", "SELECT 1"),
        ("(VALUES (1))", "query", "(VALUES (1))"),
        ("EXPLAIN (ANALYZE off, FORMAT 'json') -- x\nTABLE a", "explain", "TABLE a"),
        ("explain (select 1)", "explain", "(select 1)"),
        ("SHOW search_path", "show", "SHOW search_path"),
        ("SELECT substring(a FOR key), overlay(a placing b from 1 for share) FROM t", "query", None),
        ("SELECT update, \"into\" FROM t WHERE 'DELETE' <> delete", "query", None),
        ("WITH d AS (SELECT 1) SELECT (update) FROM d", "query", None),
    ],
)
def test_statement_is_told_apart(sql: str, sort: str, query: str | None) -> None:
    """A statement that passes says what it is, and which text is the query in it."""
    reading = read(sql)

    assert reading.sort == sort
    assert query is None or reading.query_sql == query


def names_of(reading: Reading) -> list[str]:
    return [f"{call.schema}.{call.name}" if call.schema else call.name for call in reading.calls]


@pytest.mark.parametrize(
    ("sql", "calls"),
    [
        ("SELECT abs(1), count(*), COALESCE(a), CAST(a AS numeric(3, 1)), EXTRACT(day FROM a)", ["abs", "count"]),
        ('SELECT pg_catalog . "F"(1), /* x */ G /* y */ (2), s."coalesce"(3)', ["pg_catalog.F", "g", "s.coalesce"]),
        ('SELECT "coalesce"(1)', ["coalesce"]),
        ("SELECT * FROM f(1), LATERAL g(2), ROWS FROM (h(3)) AS x(a), i() WITH ORDINALITY", ["f", "g", "h", "x", "i"]),
        ("SELECT 'f(1)', $$g(2)$$, a.b, (c).d -- h(3)", []),
        ("SELECT a IN (1), NOT (b), c AND (d), EXISTS (SELECT 1), ARRAY[(1)], ROW(1)", []),
    ],
)
def test_called_names_are_found(sql: str, calls: list[str]) -> None:
    """A name before a parenthesis may be a call, wherever it stands, unless the grammar says that it cannot be."""
    assert names_of(read(sql)) == calls


def test_fields_and_operators_are_found() -> None:
    """What can call a function without parentheses is listed as well."""
    reading = read('SELECT g.initials, (h)."Mark" FROM g WHERE a <~~~> b AND c OPERATOR(s.<#>) d')

    assert {"initials", "Mark"} <= reading.fields
    assert {"<~~~>", "<#>"} <= reading.operators
