"""The generic rules on the text of statements, for engines that no test can run: pure."""

import pytest
from opsroom_databases.dialects.generic import engine_of
from opsroom_databases.dialects.generic_statement import check_relations, read
from opsroom_shared.errors import InvalidInput, NotPermitted, ToolFailure


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("mssql", "SELECT TOP 5 [name], GETDATE() AS now FROM dbo.orders ORDER BY [name]"),
        ("mssql", "SELECT name FROM orders ORDER BY name OFFSET 5 ROWS FETCH NEXT 5 ROWS ONLY"),
        ("mssql", "SELECT ISNULL(a, 0), DATEADD(day, 1, d), CAST(b AS NVARCHAR(20)), N'ß' FROM orders"),
        ("mssql", "WITH r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r"),
        ("oracle", "SELECT NVL(name, '-'), TO_CHAR(placed, 'YYYY-MM') FROM orders WHERE ROWNUM <= 5"),
        ("oracle", "SELECT dept, LISTAGG(name, ',') WITHIN GROUP (ORDER BY name) FROM staff GROUP BY dept"),
        ("oracle", "SELECT q'[it's]', q'!it's!', DATE'2026-01-01' FROM orders"),
        ("oracle", "SELECT SYSDATE, EXTRACT(YEAR FROM placed) FROM orders"),
        ("oracle", "SELECT name FROM orders ORDER BY id FETCH FIRST 5 ROWS ONLY"),
        ("snowflake", "SELECT name, IFF(a > 1, 'x', 'y') FROM orders QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1"),
        ("snowflake", "SELECT DATE_TRUNC('month', placed), ARRAY_AGG(name) FROM orders GROUP BY 1"),
        ("trino", "SELECT approx_distinct(name), try_cast(a AS double) FROM orders"),
        ("bigquery", "SELECT `name`, COUNTIF(a > 1) FROM orders GROUP BY 1"),
    ],
)
def test_honest_query_passes(dialect: str, sql: str) -> None:
    """A read in the words of its engine passes, and names its relations."""
    reading = read(sql, engine_of(dialect))

    assert reading.sql == sql
    assert all(name in ("orders", "staff") for _, name in reading.relations)


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("mssql", "SELECT 1 SHUTDOWN"),
        ("mssql", "SELECT 1 AS a DROP TABLE orders"),
        ("mssql", "SELECT name FROM orders DELETE FROM orders"),
        ("mssql", "SELECT name FROM orders WAITFOR DELAY '0:1:0'"),
        ("mssql", "SELECT name FROM orders EXEC xp_cmdshell 'dir'"),
        ("mssql", "SELECT 1 COMMIT"),
        ("mssql", "SELECT 1 CHECKPOINT"),
        ("mssql", "SELECT * INTO pwn FROM orders"),
        ("mssql", "SELECT * FROM OPENROWSET('SQLNCLI', 'server=x', 'SELECT 1')"),
        ("mssql", "SELECT * FROM OPENQUERY(other, 'SELECT 1')"),
        ("mssql", "SELECT * FROM sys.fn_get_audit_file('c:/x', NULL, NULL)"),
        ("mssql", "SELECT NEXT VALUE FOR numbers"),
        ("mssql", "SELECT * FROM orders WITH (TABLOCKX)"),
        ("mssql", "SELECT dbo.anything(1)"),
        ("mssql", "SELECT * FROM other.master.dbo.orders"),
        ("mssql", "SELECT @@version"),
        ("mssql", "DECLARE @x INT = 1"),
        ("mssql", "EXEC sp_who"),
        ("mssql", "SELECT 1 FROM orders OPTION (MAXRECURSION 0)"),
        ("oracle", "SELECT UTL_HTTP.REQUEST('http://x') FROM dual"),
        ("oracle", "SELECT HTTPURITYPE('http://x').GETCLOB() FROM dual"),
        ("oracle", "SELECT DBMS_XMLGEN.GETXML('SELECT 1') FROM dual"),
        ("oracle", "SELECT XMLTYPE('<!DOCTYPE a SYSTEM \"http://x\">') FROM dual"),
        ("oracle", "SELECT numbers.NEXTVAL FROM orders FOR UPDATE"),
        ("oracle", "SELECT q'[']', pwn() --]' FROM orders"),
        ("oracle", "SELECT * FROM orders FOR UPDATE"),
        ("oracle", "SELECT * FROM TABLE(pwn())"),
        ("oracle", "SELECT * FROM orders@other"),
        ("oracle", "BEGIN pwn; END;"),
        ("oracle", "WITH FUNCTION f RETURN NUMBER IS BEGIN RETURN 1; END; SELECT f FROM dual"),
        ("oracle", "LOCK TABLE orders IN EXCLUSIVE MODE"),
        ("snowflake", "SELECT SYSTEM$CANCEL_ALL_QUERIES(1)"),
        ("snowflake", "SELECT * FROM TABLE(RESULT_SCAN('x'))"),
        ("snowflake", "SELECT * FROM IDENTIFIER('orders')"),
        ("snowflake", "SELECT $1 FROM @stage/file.csv"),
        ("snowflake", "SELECT AI_COMPLETE('m', 'x')"),
        ("snowflake", "CALL pwn()"),
        ("snowflake", "EXECUTE IMMEDIATE 'SELECT 1'"),
        ("snowflake", "COPY INTO @stage FROM orders"),
        ("bigquery", "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')"),
        ("bigquery", "SELECT * FROM ML.PREDICT(MODEL m, TABLE orders)"),
        ("clickhouse", "SELECT * FROM url('http://x', CSV)"),
        ("clickhouse", "SELECT * FROM file('/etc/passwd')"),
        ("clickhouse", "SELECT sleep(3)"),
        ("clickhouse", "SELECT 1 INTO OUTFILE '/tmp/x'"),
        ("clickhouse", "SELECT 1 SETTINGS max_execution_time = 0"),
        ("trino", "SELECT * FROM TABLE(system.query(query => 'SELECT 1'))"),
    ],
)
def test_attack_is_refused(dialect: str, sql: str) -> None:
    """What does more than read, in any engine's own words, is refused by its text or for what it reads from."""
    with pytest.raises(ToolFailure):
        check_relations(read(sql, engine_of(dialect)), {("", "orders"): None, ("dbo", "orders"): None})


@pytest.mark.parametrize(
    "sql",
    [
        'WITH "x.csv" AS (SELECT * FROM "x.csv") SELECT * FROM "x.csv"',
        'WITH "x.csv" AS (SELECT 1 UNION ALL SELECT * FROM "x.csv") SELECT * FROM "x.csv"',
        'WITH RECURSIVE "x.csv" AS (SELECT * FROM "x.csv" UNION ALL SELECT 1) SELECT * FROM "x.csv"',
        'WITH a AS (SELECT * FROM "x.csv"), "x.csv" AS (SELECT 1) SELECT * FROM a',
        'SELECT * FROM (WITH "x.csv" AS (SELECT 1) SELECT * FROM "x.csv") a, "x.csv"',
    ],
)
def test_expression_does_not_hide_a_relation(sql: str) -> None:
    """The name of a common table expression counts only where the engine takes it for one."""
    assert ("", "x.csv") in read(sql, engine_of("duckdb")).relations


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM a, b",
        "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM (SELECT * FROM a)) SELECT * FROM a",
        "WITH a AS (SELECT 1) SELECT (SELECT max(x) FROM a), * FROM (SELECT * FROM a UNION SELECT * FROM a)",
    ],
)
def test_expression_is_no_relation(sql: str) -> None:
    """A common table expression need not be in the schema."""
    assert read(sql, engine_of("duckdb")).relations == ()


def test_engine_without_parser_answers_no_query() -> None:
    """Where nothing can read the SQL, queries are refused and it is said what works."""
    with pytest.raises(NotPermitted, match="describe_table work"):
        read("SELECT 1", engine_of("ibmi"))


@pytest.mark.parametrize("dialect", ["oracle", "duckdb"])
def test_comments_are_blanked(dialect: str) -> None:
    """What runs has no comments, so that an engine cannot find in one what the parser did not."""
    reading = read("SELECT /* a */ 1 -- 2\n FROM orders", engine_of(dialect))

    assert reading.sql == "SELECT         1     \n FROM orders"


def test_unknown_relation_has_a_suggestion() -> None:
    """A relation that is not in the schema is refused with the nearest one and its place."""
    reading = read("SELECT 1 FROM ordes", engine_of("duckdb"))

    with pytest.raises(InvalidInput, match=r"Did you mean orders\?\n.*\n\s+\^"):
        check_relations(reading, {("", "orders"): None})


def test_oracle_reads_in_a_read_only_transaction() -> None:
    """Where an engine offers a read-only transaction, it is asked for; elsewhere the rollback alone holds."""
    assert engine_of("oracle").begin == ("SET TRANSACTION READ ONLY",)
    assert engine_of("mssql").begin == ()
