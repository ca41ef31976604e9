"""What is read in the text of a statement that writes to a network engine: what it changes, and how its rows are chosen."""

import pytest
from opsroom_databases.dialects import mysql_write, postgres_write
from opsroom_databases.write_safety import says_which_rows
from opsroom_shared.errors import InvalidInput, NotPermitted, ToolFailure

COLUMNS = ("id", "a")


@pytest.mark.parametrize(
    ("sql", "schema", "name", "alias"),
    [
        ("INSERT INTO t VALUES (1)", None, "t", None),
        ("INSERT INTO s.t AS x (a) VALUES (1)", "s", "t", "x"),
        ('UPDATE ONLY "T x" SET a = 1', None, "T x", None),
        ("UPDATE t SET a = 1", None, "t", None),
        ("UPDATE t AS set SET a = 1", None, "t", "set"),
        ("UPDATE s.t * x SET a = 1", "s", "t", "x"),
        ("DELETE FROM Foo USING b", None, "foo", None),
        ("DELETE FROM t x WHERE x.a = 1", None, "t", "x"),
        ("WITH RECURSIVE n (a, b) AS NOT MATERIALIZED (SELECT 1, 2), m AS (SELECT (1)) UPDATE t SET a = 1", None, "t", None),
        ("WITH delete AS (SELECT 1) DELETE FROM t", None, "t", None),
    ],
)
def test_target_on_postgresql(sql: str, schema: str | None, name: str, alias: str | None) -> None:
    """The relation that a statement changes is found as PostgreSQL's own grammar finds it."""
    (target,) = postgres_write.read_write(sql, definitions=False).targets

    assert (target.schema, target.name, target.alias) == (schema, name, alias)


@pytest.mark.parametrize(
    ("sql", "chosen"),
    [
        ("UPDATE t SET a = 1", "FROM t"),
        ("UPDATE t x SET a = (SELECT b FROM u WHERE c = 1) WHERE x.id = 2", "FROM t x WHERE x.id = 2"),
        ("UPDATE IGNORE d.`t` SET a = 1 ORDER BY id LIMIT 2", "FROM d.`t` ORDER BY id LIMIT 2"),
        ("DELETE FROM t PARTITION (p, q) WHERE a IN (SELECT 1 LIMIT 1)", "FROM t PARTITION (p, q) WHERE a IN (SELECT 1 LIMIT 1)"),
        ("DELETE FROM t WHERE a = 1 RETURNING id", "FROM t WHERE a = 1"),
        ("DELETE FROM t RETURNING id", "FROM t"),
        ("INSERT INTO t (a) SELECT 1", ""),
    ],
)
def test_rows_that_are_chosen_on_mysql(sql: str, chosen: str) -> None:
    """A query for the rows that a statement is about to change has its table, condition, order and limit, and nothing else."""
    assert mysql_write.read_write(sql, "d").chosen == chosen


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("DELETE FROM t", False),
        ("DELETE FROM t WHERE 1 = 1", False),
        ("DELETE FROM t WHERE user = 'x'", False),
        ("DELETE FROM t WHERE u.a = 1", False),
        ("DELETE FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.a = 1)", False),
        ("DELETE FROM t WHERE a = 1", True),
        ("DELETE FROM t WHERE t.A = 1", True),
    ],
)
@pytest.mark.parametrize("engine", ["postgres", "mysql"])
def test_condition_on_the_table_itself(engine: str, sql: str, says: bool) -> None:  # noqa: FBT001 - what is expected
    """Only a condition with a column of the table says which rows are meant."""
    write = (
        postgres_write.read_write(sql, definitions=False).write
        if engine == "postgres"
        else mysql_write.read_write(sql, "d").write
    )

    assert says_which_rows(write, {"t"}, COLUMNS) is says


@pytest.mark.parametrize(
    "sql",
    [
        "WITH",
        "WITH n",
        "WITH n AS (SELECT 1",
        "INSERT",
        "INSERT INTO",
        "UPDATE",
        "UPDATE a.b.c SET d = 1",
        "DELETE",
        "DELETE FROM",
        "DELETE FROM t WHERE",
        "UPDATE t SET a = (1",
        "DELETE FROM t) WHERE (1",
        "CREATE",
        "CREATE INDEX",
        "ALTER TABLE",
        "DROP TABLE a,",
        ";",
    ],
)
def test_half_a_statement_is_refused(sql: str) -> None:
    """What ends too early is refused with words on both engines, whatever is missing."""
    failures: list[ToolFailure] = []
    for read in (lambda: postgres_write.read_write(sql, definitions=True), lambda: mysql_write.read_write(sql, "d")):
        with pytest.raises((InvalidInput, NotPermitted)) as caught:
            read()
        failures.append(caught.value)

    assert all(str(failure) for failure in failures)
