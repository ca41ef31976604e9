"""PromQL without a server: what is wrong with an expression, which metrics it reads, and the tenant it is narrowed to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import promql_parser
from opsroom_shared.errors import InvalidInput

MAX_QUERY = 4_000
_MAX_OPERATORS = 200
"""The parser is recursive, and a stack that overflows takes the process with it."""
_STRING = r"\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|`[^`]*`?"
_TOKEN = re.compile(rf"(?P<string>{_STRING})|(?P<comment>#[^\n]*)|(?P<word>[a-zA-Z_:][\w:]*)|(?P<other>[\s\S])")
_LISTS = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_SET_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_RANGE_TYPES = (promql_parser.MatrixSelector, promql_parser.SubqueryExpr)
Selector: TypeAlias = promql_parser.VectorSelector


class BadQuery(InvalidInput):
    """The parser does not understand it; the server, whose words have a position, may say it better."""


@dataclass(frozen=True)
class Expression:
    """A query that was understood."""

    text: str
    selectors: tuple[Selector, ...]
    is_range: bool
    """Whether it is a range vector such as `up[5m]`, of which nothing can be drawn."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics that it reads, in order."""
        return tuple(dict.fromkeys(name for each in self.selectors if (name := metric_of(each))))


def parsed(query: str) -> Expression:
    """*query* as an expression. Raises InvalidInput, or BadQuery for what is not PromQL."""
    check_size(query)
    try:
        tree = promql_parser.parse(query)
    except ValueError as error:
        raise BadQuery(f"PromQL: {error}.") from None
    return Expression(query, tuple(_selectors(tree)), isinstance(tree, _RANGE_TYPES))


def check_size(query: str) -> None:
    if len(query) > MAX_QUERY:
        raise InvalidInput(f"The query has {len(query):,} characters; at most {MAX_QUERY:,} are sent.")
    operators = sum(
        piece in "-+*/%^([{" if kind == "other" else piece.lower() in _SET_OPERATORS
        for kind, piece in _tokens(query)
        if kind in ("other", "word")
    )
    if operators > _MAX_OPERATORS:
        raise InvalidInput(f"The query has more than {_MAX_OPERATORS} operators and calls. Split it, or use a recording rule.")


def check_selective(expression: Expression) -> None:
    """Refuses selectors that would read every metric that there is. Raises InvalidInput."""
    for selector in expression.selectors:
        names = [each for each in _all_matchers(selector) if each.name == "__name__"]
        if selector.name is None and not names:
            raise InvalidInput(f"{selector} names no metric, so it would read all of them. find_telemetry finds their names.")


def metric_of(selector: Selector) -> str | None:
    """The one metric that *selector* reads; None where it is a pattern."""
    if selector.name is not None:
        return selector.name
    for each in selector.matchers.matchers:
        if each.name == "__name__" and each.op == promql_parser.MatchOp.Equal:
            return each.value
    return None


def narrowed(query: str, tenant: Mapping[str, str]) -> str:
    """*query* with every selector narrowed to *tenant*. Raises InvalidInput where that cannot be made sure."""
    if not tenant:
        return query
    expression = parsed(query)
    own = ",".join(f"{name}={quoted(value)}" for name, value in tenant.items())
    text = _with_matchers(query, frozenset(expression.metrics), own)
    try:
        selectors = parsed(text).selectors
    except BadQuery:
        selectors = ()
    if len(selectors) != len(expression.selectors) or not all(_is_narrowed(each, tenant) for each in selectors):
        raise InvalidInput('This query cannot be narrowed to the tenant. Write each selector as metric{label="value"}.')
    return text


def quoted(value: str) -> str:
    """*value* as a string of PromQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def selector_of(labels: Mapping[str, str], name: str | None = None) -> str:
    """A selector of exactly these labels."""
    inside = ",".join(f"{key}={quoted(value)}" for key, value in sorted(labels.items()))
    return f"{name or ''}{{{inside}}}" if inside or not name else name


def _selectors(tree: promql_parser.Expr) -> Iterator[Selector]:
    """Every selector below *tree*, in order. The library's own `walk` takes seconds for an expression of 200 operators."""
    waiting: list[object] = [tree]
    while waiting:
        match waiting.pop():
            case promql_parser.VectorSelector() as selector:
                yield selector
            case promql_parser.MatrixSelector(vector_selector=selector):
                yield selector
            case promql_parser.BinaryExpr(lhs=left, rhs=right):
                waiting += [right, left]
            case promql_parser.Call(args=arguments):
                waiting += [*arguments][::-1]
            case promql_parser.AggregateExpr(expr=inner, param=param):
                waiting += [inner, param]
            case (
                promql_parser.UnaryExpr(expr=inner) | promql_parser.ParenExpr(expr=inner) | promql_parser.SubqueryExpr(expr=inner)
            ):
                waiting.append(inner)
            case _:
                pass


def _is_narrowed(selector: Selector, tenant: Mapping[str, str]) -> bool:
    if selector.matchers.or_matchers:
        return False
    has = {(each.name, each.value) for each in selector.matchers.matchers if each.op == promql_parser.MatchOp.Equal}
    return all(pair in has for pair in tenant.items())


def _all_matchers(selector: Selector) -> Sequence[promql_parser.Matcher]:
    return [*selector.matchers.matchers, *(each for group in selector.matchers.or_matchers for each in group)]


def _with_matchers(query: str, metrics: frozenset[str], own: str) -> str:
    """*query* with *own* in every pair of braces, and behind every metric that has none."""
    tokens, parts = _tokens(query), list[str]()
    for index, (kind, piece) in enumerate(tokens):
        parts.append(piece)
        following = next((text for each, text in tokens[index + 1 :] if text.strip() and each != "comment"), "")
        if kind == "other" and piece == "{":
            parts.append(own if following == "}" else f"{own},")
        elif kind == "word" and piece in metrics and following not in ("{", "(") and not _in_label_list(tokens[:index]):
            parts.append(f"{{{own}}}")
    return "".join(parts)


def _in_label_list(before: Sequence[tuple[str, str]]) -> bool:
    """Whether what follows *before* stands in braces, or in the parentheses of `by`, `on` and their like."""
    depth = 0
    for index in range(len(before) - 1, -1, -1):
        kind, piece = before[index]
        if kind != "other":
            continue
        if piece in ")}]":
            depth += 1
        elif piece in "({[":
            if depth == 0:
                earlier = [text for _, text in before[:index] if text.strip()]
                return piece == "{" or bool(earlier and earlier[-1].lower() in _LISTS)
            depth -= 1
    return False


def _tokens(query: str) -> list[tuple[str, str]]:
    return [(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(query)]
