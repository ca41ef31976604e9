"""Finding SQL in a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom.router.sql import sql_literal


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("select * from users", "select * from users"),
        (
            "SELECT a.id, count(*) AS n FROM accounts a JOIN bids b ON b.a = a.id GROUP BY 1",
            "SELECT a.id, count(*) AS n FROM accounts a JOIN bids b ON b.a = a.id GROUP BY 1",
        ),
        ("why is this so slow: select * from orders where status = 'open'?", "select * from orders where status = 'open'"),
        ("run `select count(*) from orders` for me", "select count(*) from orders"),
        ("run select count(*) from orders please", "select count(*) from orders"),
        ("what does \"select a, b from t where x = 'y'\" return", "select a, b from t where x = 'y'"),
        ("look:\n```sql\nselect id\nfrom orders\n```\nwhy?", "select id\nfrom orders"),
        ("select name, email from users on staging", "select name, email from users"),
        ("select distinct country from users limit 10, and plot it", "select distinct country from users limit 10"),
        ("select 1; drop table users", "select 1;"),
        ("select now()", "select now()"),
        ("select name from users where id = ?", "select name from users where id = ?"),
        ("select case when a > 1 then 1 else 2 end as k from t", "select case when a > 1 then 1 else 2 end as k from t"),
        ("with x as (select 1) select * from x", "with x as (select 1) select * from x"),
        ("update users set active = false where id = 3", "update users set active = false where id = 3"),
        ("insert into t (a, b) values (1, 2)", "insert into t (a, b) values (1, 2)"),
        ("delete from orders where id = 5;", "delete from orders where id = 5;"),
        ("is this safe: ALTER TABLE bids ADD COLUMN x int", "ALTER TABLE bids ADD COLUMN x int"),
        ("create index on orders(customer_id)", "create index on orders(customer_id)"),
        ("explain analyze select * from orders", "explain analyze select * from orders"),
        ("drop table users?", "drop table users"),
    ],
)
def test_a_statement_is_found_without_what_stands_around_it(text: str, statement: str) -> None:
    """Quotes, fences, politeness and the question after it are not part of the statement."""
    assert sql_literal(text) == statement


@pytest.mark.parametrize(
    "text",
    [
        "select the top ten countries by number of users",
        "select all users from Spain",
        "select candidates from London for the interview",
        "please select a reviewer from the team",
        "select one",
        "update the dashboard to dark mode",
        "update pods set to 3 replicas",
        "delete from the list",
        "create an index on orders(customer_id)",
        "with the new release errors rise",
        "explain the select query",
        "show tables bigger than 1 GB",
        "drop the table",
        "",
    ],
)
def test_an_english_sentence_is_no_statement(text: str) -> None:
    """Sentences begin with select, update and show as well."""
    assert sql_literal(text) is None


@given(st.text(alphabet="select from*,()'\"`?; \nabx1=", max_size=120))
def test_what_is_found_is_part_of_the_text(text: str) -> None:
    """Nothing is made up: the statement stands in the text as it is."""
    found = sql_literal(text)

    assert found is None or (found and found in text)
