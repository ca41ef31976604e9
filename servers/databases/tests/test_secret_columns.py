"""Which columns are secrets, and what a query does with them, by text alone."""

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opsroom_databases.secret_columns import SecretColumns, Shape
from opsroom_databases.secret_names import Policy, looks_secret
from opsroom_databases.secret_scope import Dialect
from opsroom_shared.errors import NotPermitted, ToolFailure

KEPT = """
    token password passwordHash PASSWORD_HASH user_password passwd pwd_hash apiKey APIKey apikey stripe_api_key privateKeyPem
    client_secret refreshToken authtoken card_number cardNumber creditcardnumber pan cvv CVC2 ssn social_security_number
    password2 password_salt hashedpassword userpassword passwordhash aws_secret_access_key totp_secret pin recovery_codes
    old_password credentials rolpassword seed_phrase
"""
PLAIN = """
    token_count key tokenizer password_changed_at secretary tokens max_tokens token_id token_type public_key primary_key
    is_secret has_password reset_password_sent_at email card_type card_last4 account_number pinned spine passenger compass
    sessions secret_id company keys hash value text tokenized password_reset_required sort_key description
"""
SHAPES = (
    Shape("users", ("id", "name", "token"), hidden=("ctid",)),
    Shape("orders", ("id", "user_id", "total")),
    Shape("v", ("uid", "t", "shown"), definition="SELECT id, token, upper(name) FROM users"),
)


@pytest.mark.parametrize("name", KEPT.split())
def test_name_of_a_secret(name: str) -> None:
    """Password hashes, tokens, keys, card numbers and their like are told by their words, however these are joined."""
    assert looks_secret(name)


@pytest.mark.parametrize("name", PLAIN.split())
def test_name_that_only_resembles_one(name: str) -> None:
    """Parts of words, and statements about a secret, are no secrets."""
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("relation", "column", "secret"),
    [
        ("secrets", "value", True),
        ("api_keys", "key", True),
        ("public.access_tokens", "hash", True),
        ("commits", "hash", False),
        ("settings", "key", False),
        ("tokens", "text", False),
    ],
)
def test_table_says_what_a_bare_column_is(relation: str, column: str, secret: bool) -> None:  # noqa: FBT001 - a table of cases
    """A value or hash is a secret where its table is one of secrets."""
    assert looks_secret(column, relation) == secret


@pytest.mark.parametrize(
    ("policy", "masked"),
    [
        (Policy(), ["token"]),
        (Policy(also=("users.name", "orders.*")), ["name", "token"]),
        (Policy(also=("NAME",), excepted=("users.TOKEN",)), ["name"]),
        (Policy(excepted=("tok*",)), []),
        (Policy(on=False), []),
    ],
)
def test_settings_decide(policy: Policy, masked: list[str]) -> None:
    """Patterns add columns and take them out, without case; the whole can be switched off."""
    assert sorted(SecretColumns(policy, SHAPES, Dialect("sqlite")).of("users")) == masked


def judged(sql: str, *, rows_are_values: bool = False) -> list[int]:
    dialect = Dialect("postgres", rows_are_values=True) if rows_are_values else Dialect("sqlite", joined_first=False)
    return sorted(SecretColumns(Policy(), SHAPES, dialect).judge(sql).positions)


@pytest.mark.parametrize(
    ("sql", "masked"),
    [
        ("SELECT * FROM orders", []),
        ("SELECT * FROM users", [2]),
        ("SELECT o.*, u.* FROM orders o JOIN users u ON u.id = o.user_id", [5]),
        ("SELECT * FROM orders JOIN users USING (id)", [4]),
        ("SELECT t AS a, uid FROM v", [0]),
        ("SELECT b FROM (SELECT * FROM (SELECT token AS b, id FROM users) x) y", [0]),
        ("SELECT id, token FROM users UNION ALL SELECT id, name FROM users", [1]),
        ("SELECT token IS NULL, count(token) FROM users", []),
        ("SELECT name FROM users WHERE name = 'token'", []),
    ],
)
def test_secrets_are_followed_to_the_result(sql: str, masked: list[int]) -> None:
    """The positions of the result that show a secret are known, whatever they are called there."""
    assert judged(sql) == masked


def test_view_that_cannot_be_read_is_masked_whole() -> None:
    """A definition that the parser does not know, over a table with secrets, gives away nothing."""
    shapes = (
        *SHAPES,
        Shape("odd", ("a", "b"), definition="SELECT FROM WHERE users"),
        Shape("fine", ("a",), definition="SELECT FROM"),
    )
    columns = SecretColumns(Policy(), shapes, Dialect("sqlite"))

    assert sorted(columns.of("odd")) == ["a", "b"]
    assert columns.of("fine") == {}


def test_result_that_was_not_foreseen_is_refused() -> None:
    """Where the engine gives other columns than were worked out, nothing is shown."""
    masked = SecretColumns(Policy(), SHAPES, Dialect("sqlite")).judge("SELECT * FROM users")
    masked.check(["ID", "name", "token"])

    for names in (["id", "token", "name"], ["id", "name"], ["id", "name", "token", "x"]):
        with pytest.raises(NotPermitted, match="not certain"):
            masked.check(names)


NAMES = ("users", "u", "token", "id", "name", "v", "t", "x", "orders")
EXPRESSIONS = (
    "{0}",
    "{0}.{1}",
    "upper({0})",
    "{0} || 'x'",
    "max({0})",
    "({0})",
    "CASE WHEN {0} > 'm' THEN 1 END",
    "count({0})",
    "*",
    "{0}.*",
)
CLAUSES = ("", " WHERE {0} > 'm'", " ORDER BY {0}", " ORDER BY 2", " GROUP BY {0}", " WHERE {0} IS NULL", " LIMIT 3")
SOURCES = (
    "users",
    "users u",
    "v",
    "orders",
    "(SELECT {0} AS x FROM users) u",
    "(SELECT * FROM users) x",
    "users u JOIN v ON u.id = v.uid",
)


@st.composite
def queries(draw: st.DrawFn) -> str:
    """Small queries about the three relations, right and wrong ones."""

    def filled(templates: Sequence[str]) -> str:
        return draw(st.sampled_from(templates)).format(draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES)))

    shown = ", ".join(filled(EXPRESSIONS) for _ in range(draw(st.integers(1, 3))))
    return f"SELECT {shown} FROM {filled(SOURCES)}{filled(CLAUSES)}"  # noqa: S608 - made of the words above


def run(secret: str, sql: str, masked: Sequence[int]) -> object:
    """What the engine answers, with masks, on a database whose secrets are *secret* and its like."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, token TEXT)")
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER, total INTEGER)")
        connection.execute("CREATE VIEW v (uid, t, shown) AS SELECT id, token, upper(name) FROM users")
        tokens = itertools.cycle([secret, None, f"{secret}2"])
        connection.executemany("INSERT INTO users VALUES (?, ?, ?)", [(i, f"n{i}", next(tokens)) for i in range(1, 5)])
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(i, i % 3, i) for i in range(1, 5)])
        try:
            rows = connection.execute(sql).fetchall()
        except sqlite3.Error as error:
            return str(error)
    return [[("***" if at in masked and value is not None else value) for at, value in enumerate(row)] for row in rows]


@settings(max_examples=600)
@given(queries())
def test_no_answer_depends_on_a_secret(sql: str) -> None:
    """Whatever query passes, its answer is the same for other secrets."""
    try:
        masked = judged(sql)
    except ToolFailure:
        return  # refused, which gives nothing away either: the verdict knows no values

    assert run("aaa", sql, masked) == run("zzz", sql, masked)


@given(queries(), st.booleans())
def test_every_query_is_judged_in_words(sql: str, rows_are_values: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """Nothing but a refusal with its reason comes out of the judgement, in either kind of dialect."""
    try:
        outcome: object = judged(sql, rows_are_values=rows_are_values)
    except NotPermitted as failure:
        outcome = str(failure)

    assert outcome is not None
    assert outcome != ""
