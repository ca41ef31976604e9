"""Other people's queries as they may be shown: on one line, values as `?`, cleaned and cut. Pure."""

import re

from opsroom_shared.outside import clean

_MOST_READ = 8_000

# An engine cuts long statements anywhere, so each of these may also end with the text.
_BLOCK_COMMENT = r"/\*.*?(?:\*/|\Z)"
_DOLLARS = r"\$(?P<tag>[A-Za-z_]\w*|)\$.*?(?:\$(?P=tag)\$|\Z)"
_ESCAPED = r"(?:[^'\\]|''|\\.|\\\Z)*(?:'|\Z)"
_PLAIN = r"(?:[^']|'')*(?:'|\Z)"
_PARAMETER = r"[$:@]\w+"
_NUMBER = r"(?<![\w$])(?:\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d\w*)"

_MYSQL = re.compile(
    rf"(?P<gap>{_BLOCK_COMMENT}|(?:\#|--(?=\s|\Z))[^\n]*|\s+)"
    rf"|(?P<value>[bBxXnN]?'{_ESCAPED}|\"(?:[^\"\\]|\"\"|\\.|\\\Z)*(?:\"|\Z)|{_NUMBER})"
    rf"|`(?:[^`]|``)*(?:`|\Z)|{_PARAMETER}|\w+|.",
    re.DOTALL,
)
_STANDARD = re.compile(
    rf"(?P<gap>{_BLOCK_COMMENT}|--[^\n\r]*|\s+)"
    rf"|(?P<value>[eE]'{_ESCAPED}|(?:[bBxXnN]|[uU]&)?'{_PLAIN}|{_DOLLARS}|{_NUMBER})"
    rf"|\"(?:[^\"]|\"\")*(?:\"|\Z)|{_PARAMETER}|\w+|.",
    re.DOTALL,
)
_LIST = re.compile(r"((?:[?]|[$]\d+))(?: ?, ?(?:[?]|[$]\d+)){3,}")


def shown_query(sql: str, dialect: str, limit: int = 160) -> str:
    """*sql* for a finding or a list. The values in it are somebody's data, and are not shown."""
    pattern = _MYSQL if dialect == "mysql" else _STANDARD
    parts = (" " if match["gap"] else "?" if match["value"] else match[0] for match in pattern.finditer(sql[:_MOST_READ]))
    return clean(" ".join(_LIST.sub(r"\1, …", "".join(parts)).split()), limit)
