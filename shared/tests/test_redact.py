"""Secrets in text."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_shared.redact import RedactingFormatter, hide, redact

SECRETS = {
    "postgresql://me:hunter2@db/x": "postgresql://me:***@db/x",
    "postgresql+psycopg://me:hun/ter@2@db:5432/x?a=b": "postgresql+psycopg://me:***@db:5432/x?a=b",
    "redis://:hunter2@cache": "redis://:***@cache",
    "see 'mysql://a:b@h/1' and mysql://c:d@h/2": "see 'mysql://a:***@h/1' and mysql://c:***@h/2",
    "password=hunter2": "password=***",
    "password='two words' next": "password='***' next",
    '{"api_key": "hunter2", "n": 1}': '{"api_key": "***", "n": 1}',
    "{'db_password': 'it''s', 'n': 1}": "{'db_password': '***', 'n': 1}",
    "token => hunter2, n": "token => ***, n",
    "?access_token=hunter2&page=2": "?access_token=***&page=2",
    "X-Auth-Token: hunter2": "X-Auth-Token: ***",
    "Authorization: Bearer abc": "Authorization: Bearer ***",
    "authorization: token abc": "authorization: token ***",
    "'Authorization': 'Basic YTpi'": "'Authorization': 'Basic ***'",
    "sent Bearer abcDEF123": "sent Bearer ***",
    "Cookie: a=1; b=2\nnext": "Cookie: ***\nnext",
    "ALTER ROLE me PASSWORD 'hunter2'": "ALTER ROLE me PASSWORD '***'",
    "IDENTIFIED BY 'hun''ter2' REQUIRE SSL": "IDENTIFIED BY '***' REQUIRE SSL",
    "key sk-ant-api03-abcdefghijklmnop": "key ***",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "***",
    "glpat-abcdefghijklmnop1234": "***",
    "api-abcdefghijklmnopqrstuvwxyz12": "***",
    "glsa_abcdefghijklmnopqrstuvwxyz123456_abcdef12": "***",
    "AKIAABCDEFGHIJKLMNOP": "***",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_def": "***",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": (
        "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----"
    ),
    "-----BEGIN PRIVATE KEY-----\ncut off": "-----BEGIN PRIVATE KEY-----***",
}

HARMLESS = [
    "http://localhost:8000/mcp",
    "me@example.test",
    "12 tokens: max_tokens=4096",
    "Basic authentication failed",
    "the password is wrong",
    "select secret from drawers",
    "no_token",
    "sk-learn-something-else",
    "",
]


@pytest.mark.parametrize(("text", "shown"), SECRETS.items())
def test_secret_is_taken_out(text: str, shown: str) -> None:
    """A secret is taken out and the words around it stay."""
    assert redact(text) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_text_stays(text: str) -> None:
    """What only resembles a secret stays."""
    assert redact(text) == text


def test_hidden_secret_goes_wherever_it_stands() -> None:
    """A secret that was named is taken out without any pattern; one too short to be told from words is not."""
    hide("correct-horse")
    hide("a")

    assert redact("xcorrect-horsey a") == "x***y a"


@given(
    st.lists(st.one_of(st.text(max_size=20), st.sampled_from([*SECRETS, *HARMLESS, "://", ":", "@", "password", "=", "'", '"'])))
)
def test_redacting_twice_changes_nothing(parts: list[str]) -> None:
    """No text makes it fail, and what was redacted stays as it is."""
    once = redact(" ".join(parts))

    assert redact(once) == once


@pytest.mark.parametrize(
    "unit", ["a-", "x://:", "eyJ-", "password", "token: '", "sk-", "cookie ", "-----BEGIN PRIVATE KEY-----", "@a:"]
)
def test_long_line_ends(unit: str) -> None:
    """A long line that nearly matches again and again is done with; in quadratic time the test would not end."""
    text = unit * (400_000 // len(unit))

    assert len(redact(text)) <= len(text)


def test_traceback_is_redacted() -> None:
    """A log record is redacted with its arguments and its traceback, the causes included."""
    with pytest.raises(RuntimeError) as caught:
        open_database("postgresql://me:" + "hunter" + "2@db")
    trace = (caught.type, caught.value, caught.tb)
    shown = RedactingFormatter().format(logging.LogRecord("x", logging.ERROR, "x.py", 1, "sent %s", ("password=hunter2",), trace))

    assert "hunter2" not in shown
    assert "ValueError: no answer from postgresql://me:***@db" in shown
    assert "RuntimeError: token=***" in shown


def open_database(url: str) -> None:
    try:
        refuse(f"no answer from {url}")
    except ValueError as error:
        raise RuntimeError("token=" + "hunter" + "2") from error


def refuse(words: str) -> None:
    raise ValueError(words)
