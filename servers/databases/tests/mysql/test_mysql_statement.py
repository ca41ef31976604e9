"""The text of a statement for MariaDB or MySQL, judged without an engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_databases.dialects.mysql_lexer import scan
from opsroom_databases.dialects.mysql_statement import read
from opsroom_databases.dialects.tokens import Kind
from opsroom_shared.errors import InvalidInput, NotPermitted, TooLarge, ToolFailure
from sqlglot import exp

VOCABULARY = """SELECT FROM WHERE WITH x AS ( ) , ; * 1 "a" `c` 'd' -- # /* */ /*! /*M! EXPLAIN ANALYZE FORMAT = JSON SHOW TABLES
DESCRIBE load_file LIKE IN VALUES UNION CASE WHEN END CAST DELETE INTO x'00' ? := @a @@b . \\ ' " ` {# #} {d \ufeff \u00e9"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n", "\r", "\0", "\v", "\u00a0"])


def judged(text: str) -> str:
    """What is to run, or the words of the refusal."""
    try:
        reading = read(text, "garage")
    except ToolFailure as failure:
        return str(failure).strip()
    assert reading.query_sql in reading.sql
    return reading.sql


@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_any_text_is_judged_in_words(text: str) -> None:
    """Whatever stands in a statement, it is passed or refused with a message; nothing else escapes."""
    assert judged(text)


@given(st.text(max_size=200))
def test_arbitrary_text_is_judged_in_words(text: str) -> None:
    """The same for text that is no SQL at all."""
    assert judged(text)


@pytest.mark.parametrize(
    ("sql", "runs"),
    [
        ("SELECT 1 # a\n+ 1", "SELECT 1    \n+ 1"),
        ("SELECT 1 -- a\r+ 2\n, 3", "SELECT 1         \n, 3"),
        ("SELECT 5--1", "SELECT 5--1"),
        ("SELECT 5--", "SELECT 5"),
        ("SELECT /* a /* b */ 1", "SELECT              1"),
        ("SELECT '-- a', \"# b\", `/* c`, 'it''s # d', 'e\\' -- f'", "SELECT '-- a', \"# b\", `/* c`, 'it''s # d', 'e\\' -- f'"),
        ("\ufeff SELECT 1 ;; -- bye", "SELECT 1"),
        ("SELECT /*+ SET_VAR(sql_mode = 'ANSI_QUOTES') */ 1", "SELECT                                          1"),
    ],
)
def test_comments_are_blanked(sql: str, runs: str) -> None:
    """What runs is the statement without its comments, optimizer hints among them, every character in its place."""
    assert read(sql, "garage").sql == runs


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("t.1e5", [("t", Kind.WORD), (".", Kind.OPERATOR), ("1e5", Kind.WORD)]),
        ("1e5", [("1e5", Kind.NUMBER)]),
        ("1a 0x1G 0b12 5", [("1a", Kind.WORD), ("0x1g", Kind.WORD), ("0b12", Kind.WORD), ("5", Kind.NUMBER)]),
        ("x'41' n'a' _utf8'b'", [("", Kind.STRING), ("", Kind.STRING), ("_utf8", Kind.WORD), ("", Kind.STRING)]),
        ("@a @'b c' @@global.d", [("@a", Kind.VARIABLE), ("@", Kind.VARIABLE), ("@@global.d", Kind.VARIABLE)]),
        ("`a``b`.`c`", [("a`b", Kind.NAME), (".", Kind.OPERATOR), ("c", Kind.NAME)]),
        ("a\u00a0b gr\u00f6\u00dfe", [("a\u00a0b", Kind.WORD), ("gr\u00f6\u00dfe", Kind.WORD)]),
    ],
)
def test_tokens_are_the_engines(sql: str, kinds: list[tuple[str, Kind]]) -> None:
    """Names that begin with digits, prefixes of literals, variables and backticks are cut as the engine cuts them."""
    assert [(token.text, token.kind) for token in scan(sql).tokens] == kinds


@pytest.mark.parametrize(
    ("sql", "calls"),
    [
        ("SELECT abs(1), COUNT (*), `sum`(2)", []),
        ("SELECT with_tax(1), garage.abs(2), `Load_File` ('x')", [(None, "with_tax"), ("garage", "abs"), (None, "Load_File")]),
        ("SELECT a IN (1), CAST(b AS DECIMAL(10, 2)), NOT (c), EXISTS (SELECT 1) FROM t AS x (a, b)", [(None, "cast")]),
        ("WITH t(a) AS (SELECT f(1)) SELECT * FROM t", [(None, "t"), (None, "f")]),
        ("SELECT 'sleep(1)' -- sleep(2)", []),
    ],
)
def test_calls_are_found(sql: str, calls: list[tuple[str | None, str]]) -> None:
    """A name before a parenthesis is looked up, unless it can only be built in or grammar."""
    assert [(call.schema, call.name) for call in read(sql, "garage").calls] == calls


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("", InvalidInput, "empty"),
        ("# only this", InvalidInput, "nothing but comments"),
        ("SELECT 1; SELECT 2", NotPermitted, "One statement at a time"),
        ("SELECT 1 /*!50000 + 1 */", NotPermitted, "would run what stands in this comment"),
        ("SELECT 1 /*M!100000 + 1 */", NotPermitted, "would run what stands in this comment"),
        ("SELECT 1 /* a", InvalidInput, "does not end"),
        ("SELECT `", InvalidInput, "does not end"),
        ("SELECT @", InvalidInput, "variable's name is missing"),
        ("SELECT \x07", InvalidInput, "has no meaning"),
        ("SELECT (1", InvalidInput, "parentheses do not match"),
        ("SELECT 1)", InvalidInput, "parentheses do not match"),
        ("SELECT @a := 1", NotPermitted, "A variable is set"),
        ("SELECT 1 INTO @a", NotPermitted, "INTO writes a file or sets a variable"),
        ("SELECT 1 FROM t FOR SHARE", NotPermitted, "lock rows"),
        ("SHOW CREATE USER boss", NotPermitted, "SHOW CREATE USER is not among the reports"),
        ("EXPLAIN", InvalidInput, "EXPLAIN needs a query"),
        ("EXPLAIN FORMAT=XML SELECT 1", NotPermitted, "format"),
        ("ANALYZE TABLE t", NotPermitted, "writes statistics"),
        ("SELECT * FROM t, mysql.user", NotPermitted, "holds the accounts"),
        ("SELECT " + ",".join(["1"] * 20_000), TooLarge, "words"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else value.__name__,
)
def test_refusal_says_why(sql: str, error: type[ToolFailure], words: str) -> None:
    """A refused statement is answered with its reason."""
    with pytest.raises(error, match=words):
        read(sql, "garage")


@pytest.mark.parametrize(
    ("sql", "sort", "query"),
    [
        ("explain extended select 1", "explain", "select 1"),
        ("DESC FORMAT=JSON (SELECT 1)", "explain", "(SELECT 1)"),
        ("EXPLAIN ANALYZE SELECT 1", "explain", "SELECT 1"),
        ("ANALYZE FORMAT = JSON WITH a AS (SELECT 1) SELECT * FROM a", "explain", "WITH a AS (SELECT 1) SELECT * FROM a"),
        ("DESCRIBE owners name", "show", ""),
        ("EXPLAIN analyze", "show", ""),
        ("SHOW FULL COLUMNS FROM owners", "show", ""),
        ("VALUES (1), (2)", "query", "VALUES (1), (2)"),
        ("TABLE owners", "query", "TABLE owners"),
    ],
)
def test_statement_is_told_apart(sql: str, sort: str, query: str) -> None:
    """A statement that passes says what it is, and which text is the query in it."""
    reading = read(sql, "garage")

    assert (reading.sort, reading.query_sql) == (sort, query)


def test_parser_does_not_see_a_comment_where_the_engine_sees_signs() -> None:
    """Two minuses without a space behind them are part of the tree that advice is made from."""
    reading = read("SELECT a--1, b FROM t", "garage")

    assert reading.tree is not None
    assert {column.name for column in reading.tree.find_all(exp.Column)} == {"a", "b"}
