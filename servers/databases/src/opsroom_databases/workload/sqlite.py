"""SQLite keeps no statistics about queries, and says so."""

from opsroom_shared.errors import NotFound


def nothing_counted(database: str) -> NotFound:
    return NotFound(
        f"{database} is an SQLite file, and SQLite counts no queries. Look for slow ones in the program that runs them; "
        "explain_query then shows what makes one slow, and database_health finds missing indexes."
    )
