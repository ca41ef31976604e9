"""What is known of a LogQL query before it is sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom_monitoring.sources.logql import parse_logql
from opsroom_shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("query", "selectors", "kind"),
    [
        ('{app="a"}', ['{app="a"}'], "streams"),
        (' { app = "a" , env != "dev" } ', ['{ app = "a" , env != "dev" }'], "streams"),
        ('{app="a"} |= "} {" | json', ['{app="a"}'], "lines"),
        ('{app="a\\"}"} |~ `{x}`', ['{app="a\\"}"}'], "lines"),
        ("{app=~`a|b`}", ["{app=~`a|b`}"], "streams"),
        ('sum by (x) (rate({app="a"}[5m])) / 2', ['{app="a"}'], "numbers"),
        ('rate({app="a"}[1m]) / rate({app="b"}[1m])', ['{app="a"}', '{app="b"}'], "numbers"),
        ('{app="a"} # {not="one"\n |= "x"', ['{app="a"}'], "lines"),
        ('{app="a"} | line_format "{{.x}}"', ['{app="a"}'], "lines"),
        ('{app=~"' + "(" * 4_000 + '"}', ['{app=~"' + "(" * 4_000 + '"}'], "streams"),
        ('{app=~"(?i)shop|[[:alpha:]]+"}', ['{app=~"(?i)shop|[[:alpha:]]+"}'], "streams"),
    ],
)
def test_selectors_are_found(query: str, selectors: list[str], kind: str) -> None:
    """Braces in strings and comments are no selectors."""
    parsed = parse_logql(query)

    assert list(parsed.selectors) == selectors
    assert (parsed.counts, parsed.bare) == (kind == "numbers", kind == "streams")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "no stream selector"),
        ("timeout in checkout", "no stream selector"),
        ('|= "{}"', "no stream selector"),
        ("{}", "matches every stream"),
        ('{app=""}', "matches every stream"),
        ('{app!="x", env!~"y"}', "matches every stream"),
        ('{app=~".*"}', "matches every stream"),
        ('{app="a"', "has no }"),
        ('{app="a}', "has no end"),
        ('{app="a"} |= `x', "has no end"),
        ('{app="a"}}', "without a {"),
        ("{app={x}}", "inside of a selector"),
        ("{app=a}", 'expected label="value"'),
        ('{app=="a"}', 'expected label="value"'),
        ('{app="a" env="b"}', "expected a comma"),
        ('{app="a", }', 'expected label="value"'),
        ('{1app="a"}', 'expected label="value"'),
        ('{app="a"} ' + "x" * 5_000, "at most 5000|at most 5,000"),
    ],
)
def test_what_loki_would_refuse_is_refused(query: str, words: str) -> None:
    """A query that cannot work, or would read everything, is refused with what to write."""
    with pytest.raises(InvalidInput, match=words):
        parse_logql(query)


@given(st.text(alphabet='{}="`\\#|~!,ab \n', max_size=200))
def test_any_text_is_read_or_refused(query: str) -> None:
    """Whatever is written, the answer is the parts of a query or an InvalidInput; a part stands in the query as it is."""
    try:
        parsed = parse_logql(query)
    except InvalidInput:
        return

    assert parsed.selectors
    assert all(selector in query and selector[0] + selector[-1] == "{}" for selector in parsed.selectors)
