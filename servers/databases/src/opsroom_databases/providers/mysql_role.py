"""The account with the fewest rights that MariaDB or MySQL needs to answer here. Pure."""

from .mysql_wire import literal, quoted

_ROLE = """\
-- On MariaDB or MySQL, as an administrator. Replace the host % by this server's address, and the password.
CREATE USER opsroom@'%' IDENTIFIED BY 'choose a password'
  WITH MAX_USER_CONNECTIONS 20;
-- Rows, view definitions and nothing else: no right on *.*, so no FILE, no SUPER, no accounts.
GRANT SELECT, SHOW VIEW ON {database}.* TO opsroom@'%';
-- For each function of yours that queries may call (declare it NO SQL or READS SQL DATA):
-- GRANT EXECUTE ON FUNCTION {database}.its_name TO opsroom@'%';
-- Then the URL is mysql://opsroom:PASSWORD@HOST/{plain}"""


def role_sql(database: str) -> str:
    escaped = database.replace("_", r"\_").replace("%", r"\%")  # in a GRANT these two stand for other characters
    return _ROLE.format(database=quoted(escaped), plain=literal(database)[1:-1])
