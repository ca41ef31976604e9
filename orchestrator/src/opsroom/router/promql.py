"""Finding a PromQL expression inside a request."""

import re

_NAME = r"[A-Za-z_:][\w:]*"
_DURATION = r"\d+(?:ms|[smhdwy])"
_ANCHOR = re.compile(
    rf"""
    (?<![\w:]){_NAME}(?:\{{[^{{}}]{{0,500}}\}})?\[{_DURATION}(?::(?:{_DURATION})?)?\]              # metric[5m]
    | (?:(?<![\w:]){_NAME})?\{{\s*{_NAME}\s*(?:=~|!~|!=|=)\s*                                       # metric{{label="x"}}
        (?:"[^"\n]{{0,200}}"|'[^'\n]{{0,200}}')[^{{}}]{{0,500}}\}}
    | \b(?:topk|bottomk|quantile|count_values|histogram_quantile|limitk)\s*\(\s*["'\d.]+\w*["']?\s*,  # topk(5, …
    | \b(?:sum|avg|min|max|count|stddev|group)\s+(?:by|without)\s*\([\w\s,]{{0,200}}\)\s*\(         # sum by (job) (…
    | \b(?:sum|avg|min|max|count|stddev|group)\s*\([^()\n]{{1,500}}\)\s*(?:by|without)\s*\(         # sum(x) by (job)
    | \b(?:absent|absent_over_time)\s*\(\s*{_NAME}\s*[)\[{{]                                        # absent(up)
    """,
    re.VERBOSE,
)
_TOKEN = re.compile(
    rf"""\s+ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | {_DURATION}\b | \d+(?:\.\d+)? | {_NAME}
    | ==|!=|>=|<=|=~|!~|[-+*/%^<>=] | [()\[\]{{}},@] | .""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset(
    (
        *("by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "and", "or", "unless"),
        *("sum", "avg", "min", "max", "count", "stddev", "group", "topk", "bottomk", "quantile"),
    )
)
_BINARY = frozenset({"==", "!=", ">=", "<=", "-", "+", "*", "/", "%", "^", "<", ">", "and", "or", "unless"})
_OPEN = frozenset("([{")
_CLOSE = frozenset(")]}")


def promql_literal(text: str) -> str | None:
    """The PromQL expression that *text* contains; None when there is none. A bare metric name is not one."""
    span = find_promql(text)
    return text[span[0] : span[1]] if span else None


def find_promql(text: str) -> tuple[int, int] | None:
    anchor = _ANCHOR.search(text)
    if anchor is None:
        return None
    for start, end in _runs(text):
        if start <= anchor.start() < end:
            return start, end
    return anchor.span()


def _runs(text: str) -> list[tuple[int, int]]:
    """The stretches of *text* that could be PromQL: all inside brackets, and outside them names that look like no English."""
    runs: list[tuple[int, int]] = []
    tokens = [(found[0], found.start(), found.end()) for found in _TOKEN.finditer(text) if not found[0].isspace()]
    run: list[tuple[str, int, int]] = []
    depth = 0
    for index, token in enumerate(tokens):
        word = token[0]
        following = tokens[index + 1] if index + 1 < len(tokens) else ("", len(text), len(text))
        depth += (word in _OPEN) - (word in _CLOSE)
        if depth > 0 or (depth == 0 and (word in _CLOSE or _outside(token, following))):
            run.append(token)
            continue
        depth = 0
        runs += _trimmed(run)
        run = []
    return runs + _trimmed(run)


def _outside(token: tuple[str, int, int], following: tuple[str, int, int]) -> bool:
    word, _, end = token
    if word[0].isdigit() or word in _BINARY or word in _KEYWORDS or word == "@":
        return True
    return re.fullmatch(_NAME, word) is not None and (
        "_" in word or ":" in word[:-1] or (following[0] in ("(", "{", "[") and following[1] == end)
    )


def _trimmed(run: list[tuple[str, int, int]]) -> list[tuple[int, int]]:
    """The run without the words of the sentence around it that could have been PromQL: numbers, signs, "and", "by"."""
    while run and not _begins(run):
        run = run[1:]
    while run and not _ends(run):
        run = run[:-1]
    return [(run[0][1], run[-1][2])] if run else []


def _begins(run: list[tuple[str, int, int]]) -> bool:
    word = run[0][0]
    following = run[1][0] if len(run) > 1 else ""
    if word[0].isdigit():
        return following in _BINARY
    if word in _KEYWORDS:
        return following in ("(", "by", "without")
    return word in ("(", "{") or re.fullmatch(_NAME, word) is not None


def _ends(run: list[tuple[str, int, int]]) -> bool:
    word = run[-1][0]
    before = run[-2][0] if len(run) > 1 else ""
    return word not in _BINARY and word not in _KEYWORDS and word not in _OPEN and not (word[0].isdigit() and before in _KEYWORDS)
