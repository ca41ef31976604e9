"""Label matchers of selectors, and regular expressions in linear time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import promql_parser as promql
from opsroom_shared.errors import InvalidInput
from pydantic_core import SchemaError, SchemaValidator, core_schema

from .. import Matcher

_MAX_PATTERN = 500


def pattern_test(pattern: str) -> Callable[[str], bool]:
    """Whether *pattern* is somewhere in a text. Raises InvalidInput for one that is broken.

    Python's own expressions could run for ages on a hostile text. The engine that pydantic brings takes linear time, and has the
    syntax of Prometheus and Loki.
    """
    if len(pattern) > _MAX_PATTERN:
        raise InvalidInput(f"The regular expression is longer than {_MAX_PATTERN} characters.")
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
    except SchemaError as error:
        reason = str(error).strip().rpartition("\n")[2].removeprefix("error: ")
        raise InvalidInput(f"{pattern[:80]!r} is no regular expression that can be used: {reason}.") from None


def test_of(matcher: Matcher) -> Callable[[str], bool]:
    """Whether a label's value is what *matcher* asks for. A label that is missing has the empty value."""
    if matcher.is_regex:
        found = pattern_test(f"^(?s:{matcher.value})$")
        return lambda value: found(value) == matcher.is_equal
    return lambda value: (value == matcher.value) == matcher.is_equal


@dataclass(frozen=True)
class Selector:
    """A name and matchers."""

    name: str | None
    matchers: tuple[Matcher, ...]

    def tests(self) -> Sequence[tuple[str, Callable[[str], bool]]]:
        return [(matcher.name, test_of(matcher)) for matcher in self.matchers]


def matches(tests: Sequence[tuple[str, Callable[[str], bool]]], labels: Mapping[str, str], name: str = "") -> bool:
    return all(test(name if label == "__name__" else labels.get(label, "")) for label, test in tests)


def selector_of(expression: promql.VectorSelector) -> Selector:
    if expression.matchers.or_matchers:
        raise InvalidInput("The local source does not take `or` between matchers; ask for each alternative, or use =~.")
    found: list[Matcher] = []
    name = expression.name
    for each in expression.matchers.matchers:
        is_equal = each.op in (promql.MatchOp.Equal, promql.MatchOp.Re)
        is_regex = each.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
        if each.name == "__name__" and is_equal and not is_regex and name is None:
            name = each.value
        else:
            found.append(Matcher(each.name, each.value, is_regex=is_regex, is_equal=is_equal))
    return Selector(name, tuple(found))


def parse_selector(text: str) -> Selector:
    """`name{label="value"}` as its parts. Raises InvalidInput."""
    try:
        expression = promql.parse(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:100]!r} is no selector: {error}.") from None
    if not isinstance(expression, promql.VectorSelector) or expression.offset or expression.at:
        raise InvalidInput(f'{text[:100]!r} is no plain selector such as up{{job="checkout"}}.')
    return selector_of(expression)
