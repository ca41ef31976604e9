"""Finding a SQL statement inside a request, and not taking an English sentence that begins with "select" for one."""

import re

_IDENTIFIER = r"(?:[A-Za-z_][\w$]*|\"[^\"\n]{1,100}\"|`[^`\n]{1,100}`|\[[^\]\n]{1,100}\])"
_NOT_ENGLISH = r"(?!(?:the|a|an|my|our|your|this|that|these|those|all|any|some|each|every|which|it|them|here|there)\b(?!\.))"
_PATH = rf"(?:{_NOT_ENGLISH}{_IDENTIFIER}(?:\.{_IDENTIFIER})*)"
_END = r"(?=\s*(?:;|\)|$))"

_START = re.compile(
    r"(?<![\w./-])(?:select|with|insert|update|delete|create|alter|drop|truncate|explain|pragma|show|vacuum|grant|revoke|merge)\b",
    re.IGNORECASE,
)
_EXPLAIN = re.compile(
    r"explain\s+(?:(?:analy[sz]e|verbose|query\s+plan|format\s*=\s*\w+)\s+|\([^()]{0,200}\)\s*)*", re.IGNORECASE
)
_SELECT = re.compile(r"select\s+(?:distinct\s+|top\s+\d+\s+)?", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)
_CLAUSES = (
    r"where|join|inner|left|right|full|cross|natural|group|order|limit|having|union|intersect|except|offset|fetch|for\s+update|window|"
    r"tablesample|lateral|as\s+of"
)
_SOURCE = re.compile(
    rf"from\s+(?:\(|(?:only\s+)?{_PATH}(?:\([^()]{{0,200}}\))?(?:\s*,|\s+(?:{_CLAUSES})\b|"
    rf"(?:\s+as)?\s+{_IDENTIFIER}(?:\s*,|\s+(?:{_CLAUSES})\b|{_END})|{_END}))",
    re.IGNORECASE,
)
_CONSTANT = re.compile(
    rf"(?:-?\d+(?:\.\d+)?|'[^']{{0,200}}'|\w+\([^()]{{0,200}}\)|current_\w+|null)"
    rf"(?:\s*(?:[-+*/,]|\|\||::|\bas\b)\s*[\w'().]{{1,100}})*{_END}",
    re.IGNORECASE,
)
_OTHERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"with\s+(?:recursive\s+)?{_IDENTIFIER}\s*(?:\([^()]{{0,500}}\)\s*)?as\s+(?:(?:not\s+)?materialized\s+)?\(",
        rf"insert\s+(?:or\s+\w+\s+|ignore\s+)?into\s+{_PATH}\s*(?:\([^()]{{0,2000}}\)\s*)?(?:values\b|select\b|with\b|default\s+values\b)",
        rf"update\s+(?:only\s+)?{_PATH}(?:\s+(?:as\s+)?{_IDENTIFIER})?\s+set\s+{_PATH}\s*=",
        rf"delete\s+from\s+{_PATH}(?:\s+(?:as\s+)?{_IDENTIFIER})?(?:\s+(?:where|using|limit|returning|order)\b|{_END})",
        rf"create\s+(?:temp(?:orary)?\s+|unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?{_PATH}\s*(?:\(|as\s+(?:select|with)\b)",
        rf"create\s+(?:unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(?:{_PATH}\s+)?on\s+{_PATH}\s*(?:using\s+\w+\s*)?\(",
        rf"create\s+(?:or\s+replace\s+)?(?:materialized\s+)?view\s+(?:if\s+not\s+exists\s+)?{_PATH}\s+as\s+(?:select|with)\b",
        rf"alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?{_PATH}\s+(?:add|drop|alter|rename|modify|set|enable|disable|owner)\b",
        rf"drop\s+(?:table|(?:materialized\s+)?view|index)\s+(?:concurrently\s+)?(?:if\s+exists\s+)?{_PATH}(?:\s+cascade\b|\s*,|{_END})",
        rf"truncate\s+(?:table\s+)?{_PATH}(?:\s+(?:cascade|restart)\b|{_END})",
        rf"merge\s+into\s+{_PATH}(?:\s+(?:as\s+)?{_IDENTIFIER})?\s+using\b",
        rf"pragma\s+\w+(?:\s*=\s*\w+|\s*\([^()]{{0,100}}\))?{_END}",
        rf"show\s+(?:full\s+)?(?:tables|databases|schemas|processlist|create\s+table\s+{_PATH}|(?:columns|index(?:es)?)\s+from\s+{_PATH}){_END}",
        rf"vacuum\s+(?:\([^()]{{0,100}}\)\s*|(?:full|analyze|verbose|freeze)\s+)*{_PATH}{_END}",
        rf"(?:grant|revoke)\s+(?:select|insert|update|delete|usage|execute|all)[\w\s,]{{0,200}}?\s+on\s+(?:table\s+|schema\s+)?{_PATH}\s+(?:to|from)\s",
    )
)

_PARENTHESES = re.compile(r"\([^()]*\)")
_STRING = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")
_CASE = re.compile(r"\bcase\b.*?\bend\b", re.IGNORECASE | re.DOTALL)
_ALIAS = re.compile(r"\bas\s+[\w\"`]+\s*$", re.IGNORECASE)
_OVER = re.compile(r"\b(?:filter|over|within\s+group)\b", re.IGNORECASE)
_OPERATOR = re.compile(r"\|\||::|->>?|<>|[-+*/%<>=!]+|\b(?:and|or|not|is|null|like|in|between)\b", re.IGNORECASE)
# one letter is a column more often than an article, as a list item of two words is no column anyway
_ITEM = re.compile(rf"\s*(?:[a-z]|{_PATH}(?:\.\*)?|\d+(?:\.\d+)?|\x00)\s*", re.IGNORECASE)

_FENCE = re.compile(r"```")
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": "”", "‘": "’"}  # noqa: RUF001 - the quotes people paste
_TAILS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"\n\s*\n.*",
        r"(?<![=<>(,\s])\s*\?(?:\s.*|$)",
        r"(?<=[\w)'\"])[.!]\s+(?-i:[A-Z]).*",
        r",?\s+(?:and|then|but|so|or)\s+(?:then|tell|show|explain|plot|give|let|send|export|check|what|why|how|is|are)\b.*",
        r"(?<![\s,])[\s,]+(?:please|pls|thanks|thank\s+you|for\s+me)[\s.!]*$",
        r"(?<!\s)\s+(?:on|in|against)\s+(?:the\s+)?[\w-]+(?:\s+(?:database|db|replica|server|cluster))?[\s.!]*$",
        r"(?<![\s.!])[\s.!]+$",
    )
)
_BLANK = re.compile(r"\s{200}")
_MOST_STARTS = 12
_LONGEST_LIST = 4_000


def sql_literal(text: str) -> str | None:
    """The SQL statement that *text* contains, without the quotes or the fence around it; None when there is none."""
    span = find_sql(text)
    return text[span[0] : span[1]] if span else None


def find_sql(text: str) -> tuple[int, int] | None:
    """Where the first SQL statement of *text* stands."""
    for number, start in enumerate(_START.finditer(text)):
        if number == _MOST_STARTS:
            return None
        begin = start.start()
        statement = _window(text, begin)
        if _is_statement(statement):
            return begin, begin + len(statement)
    return None


def _window(text: str, begin: int) -> str:
    """The text from *begin* to where a statement beginning there would end: its fence, its quote, or the prose after it."""
    if len(_FENCE.findall(text, 0, begin)) % 2:
        end = text.find("```", begin)
        return text[begin : end if end >= 0 else None].rstrip()
    closing = _QUOTES.get(text[begin - 1]) if begin else None
    if closing and (quoted := re.compile(rf"{re.escape(closing)}(?![\w{re.escape(closing)}])").search(text, begin)):
        inside = text[begin : quoted.start()]
        # a quote of a string inside the statement closes nothing: where a = 'x'
        if inside.count(closing) % 2 == 0:
            return inside.rstrip()
    # the patterns below would take quadratic time on long blank stretches, and no statement has one
    blank = _BLANK.search(text, begin)
    statement = text[begin : blank.start() if blank else None]
    if semicolon := _semicolon(statement):
        return statement[:semicolon]
    for tail in _TAILS:
        statement = tail.sub("", statement, count=1)
    return statement


def _semicolon(statement: str) -> int | None:
    """The end of the first semicolon outside strings."""
    inside: str | None = None
    for at, char in enumerate(statement):
        if inside:
            inside = None if char == inside else inside
        elif char in "'\"`":
            inside = char
        elif char == ";":
            return at + 1
    return None


def _is_statement(text: str) -> bool:
    if explain := _EXPLAIN.match(text):
        text = text[explain.end() :]
    if select := _SELECT.match(text):
        return _is_select(text[select.end() :])
    return any(pattern.match(text) for pattern in _OTHERS)


def _is_select(rest: str) -> bool:
    if _CONSTANT.match(rest):
        return True
    for source in _FROM.finditer(rest, 0, _LONGEST_LIST):
        columns = rest[: source.start()]
        if columns.count("(") != columns.count(")"):
            continue
        return _SOURCE.match(rest, source.start()) is not None and _is_column_list(columns)
    return False


def _is_column_list(columns: str) -> bool:
    """Whether *columns* is a list of expressions: no two names stand side by side, and no sentence keeps to that."""
    columns = _STRING.sub(" \x00 ", columns)
    columns = _CASE.sub(" \x00 ", columns)
    for _ in range(8):
        columns, found = _PARENTHESES.subn(" ", columns)
        if not found:
            break
    if columns.strip() == "":
        return False
    return all(_is_column(item) for item in columns.split(","))


def _is_column(item: str) -> bool:
    item = _ALIAS.sub("", _OVER.sub(" ", item))
    operands = [operand for operand in _OPERATOR.split(item) if operand.strip()]
    if not operands:
        return item.strip() in ("*", "")
    return all(len(operand.split()) == 1 and _ITEM.fullmatch(operand) is not None for operand in operands)
