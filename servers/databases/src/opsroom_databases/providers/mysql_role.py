"""The account with the fewest rights that MariaDB or MySQL needs to answer here. Pure."""

from .mysql_wire import quoted

READER = "opsroom_reader"

_ROLE = """\
-- Run this as an administrator, with a password of your own; for % write the host that this server runs on.
CREATE USER {reader}@'%' IDENTIFIED BY 'choose a password' WITH MAX_USER_CONNECTIONS {connections};
GRANT SELECT, SHOW VIEW ON {pattern}.* TO {reader}@'%';
-- It has no right on *.*: no files, no accounts, no other database. On MariaDB the engine can limit its time as well:
-- ALTER USER {reader}@'%' WITH MAX_STATEMENT_TIME {seconds:g};
-- For each function of yours that queries may call; it has to be declared NO SQL or READS SQL DATA:
-- GRANT EXECUTE ON FUNCTION {database}.its_name TO {reader}@'%';
-- For statistics of queries, and what other sessions wait for:
-- GRANT PROCESS ON *.* TO {reader}@'%'; GRANT SELECT ON performance_schema.* TO {reader}@'%';"""


def reader_sql(database: str, seconds: float, concurrency: int) -> str:
    """The statements that make an account which may read *database*, and nothing else."""
    pattern = database.replace("_", r"\_").replace("%", r"\%")  # in a GRANT these two stand for other characters
    return _ROLE.format(
        reader=READER, pattern=quoted(pattern), database=quoted(database), seconds=seconds, connections=3 * concurrency
    )
