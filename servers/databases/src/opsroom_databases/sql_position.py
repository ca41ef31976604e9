"""Shows a place in a statement: the line, cut to a window, and a caret below the place. Pure."""

import re

_BEFORE, _AFTER = 60, 40


def marked(sql: str, position: int) -> str:
    """The line of *sql* that holds the character at *position*, and a caret below it."""
    position = max(0, min(position, len(sql)))
    start = sql.rfind("\n", 0, position) + 1
    end = sql.find("\n", position)
    line, column = sql[start : end if end >= 0 else len(sql)], position - start
    first = max(0, column - _BEFORE)
    shown = line[first : column + _AFTER]
    head = "…" if first else ""
    tail = "…" if column + _AFTER < len(line) else ""
    caret = " " * (len(head) + column - first) + "^"
    return "".join(character if character.isprintable() else " " for character in f"{head}{shown}{tail}") + f"\n{caret}"


def marked_name(sql: str, name: str) -> str:
    """The line of *sql* where *name* first stands as a word, on a line of its own; empty where it does not."""
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql, re.IGNORECASE)
    return f"\n{marked(sql, found.start())}" if found else ""
