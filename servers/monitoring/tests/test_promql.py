"""PromQL without a server."""

import pytest
from opsroom_monitoring.promql import MAX_QUERY, BadQuery, check_selective, narrowed, parsed, quoted, selector_of
from opsroom_monitoring.units import unit_of
from opsroom_shared.errors import InvalidInput

TENANT = {"team": 'a"b'}


@pytest.mark.parametrize(
    ("query", "metrics"),
    [
        ("up", ("up",)),
        ("sum by (job) (rate(a_total[5m])) / on (job) b", ("a_total", "b")),
        ('{__name__="x"}', ("x",)),
        ("topk(3, -max_over_time(y[5m:1m]))", ("y",)),
        ("1 + 1", ()),
    ],
)
def test_metrics_that_are_read(query: str, metrics: tuple[str, ...]) -> None:
    """The names of the metrics are found wherever they stand."""
    assert parsed(query).metrics == metrics


@pytest.mark.parametrize("query", ["rate(", "up{", "sum by", "", "rate(up)", "up up"])
def test_what_is_not_promql(query: str) -> None:
    """It is told before anything is sent."""
    with pytest.raises(BadQuery):
        parsed(query)


@pytest.mark.parametrize(
    "query", ["(" * 3_000, "-" * 3_000 + "x", "1+" * 1_900 + "1", "x or " * 700 + "x", "x" * (MAX_QUERY + 1)]
)
def test_what_would_overflow_a_parser_is_refused(query: str) -> None:
    """Nesting and length are bounded before the parser sees them: it would take the process with it."""
    with pytest.raises(InvalidInput):
        parsed(query)


@pytest.mark.parametrize("query", ['{job="x"}', 'sum({a="b"})'])
def test_selector_of_everything_is_refused(query: str) -> None:
    """A selector names a metric, or a pattern of names."""
    with pytest.raises(InvalidInput, match="names no metric"):
        check_selective(parsed(query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("up", 'up{team="a\\"b"}'),
        ("sum by (up) (up)", 'sum by (up) (up{team="a\\"b"})'),
        ('rate(x{a="{"}[5m]) / on(x) y{}', 'rate(x{team="a\\"b",a="{"}[5m]) / on(x) y{team="a\\"b"}'),
        ("count(up) by (up) # up", 'count(up{team="a\\"b"}) by (up) # up'),
        ('{__name__=~"x.*"}', '{team="a\\"b",__name__=~"x.*"}'),
        ("x[5m:1m] offset 1m", 'x{team="a\\"b"}[5m:1m] offset 1m'),
    ],
)
def test_tenant_is_in_every_selector(query: str, expected: str) -> None:
    """Names in label lists, strings and comments are left alone."""
    assert narrowed(query, TENANT) == expected


def test_selector_that_evades_the_tenant_is_refused() -> None:
    """Alternatives within braces could leave it."""
    with pytest.raises(InvalidInput, match="cannot be narrowed"):
        narrowed('x{a="b" or c="d"}', TENANT)


def test_values_are_quoted() -> None:
    """Quotes, backslashes and lines cannot end a string."""
    assert quoted('a"\\\n') == '"a\\"\\\\\\n"'
    assert parsed(selector_of({"a": 'x"} or up{b="'}, "m")).metrics == ("m",)


@pytest.mark.parametrize(
    ("query", "unit"),
    [
        ("process_resident_memory_bytes", "bytes"),
        ("rate(node_network_receive_bytes_total[5m])", "bytes per second"),
        ("sum(rate(http_requests_total[5m]))", "per second"),
        ("histogram_quantile(0.95, sum by (le) (rate(x_seconds_bucket[5m])))", "seconds"),
        ("count(x_bytes)", None),
        ("a_bytes / b_bytes", None),
        ("rate(", None),
    ],
)
def test_unit(query: str, unit: str | None) -> None:
    """A unit is told where one name tells it, and left out where it would be a guess."""
    assert unit_of(query) == unit
