"""Finding PromQL in a request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opsroom.router.promql import promql_literal


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("rate(http_requests_total[5m])", "rate(http_requests_total[5m])"),
        ('plot rate(http_requests_total{job="api"}[5m]) by service', 'rate(http_requests_total{job="api"}[5m])'),
        ("what is sum by (le) (rate(x_bucket[5m])) > 5 and why", "sum by (le) (rate(x_bucket[5m])) > 5"),
        ("topk(5, sum(rate(x[1m])) by (pod)) please", "topk(5, sum(rate(x[1m])) by (pod))"),
        ('show up{job="node"} == 0 now', 'up{job="node"} == 0'),
        ("is absent(up) firing", "absent(up)"),
        ("p99 of `histogram_quantile(0.99, rate(req_bucket[5m]))`", "histogram_quantile(0.99, rate(req_bucket[5m]))"),
    ],
)
def test_an_expression_is_found_without_the_sentence_around_it(text: str, expression: str) -> None:
    """Words before and after an expression stay out of it."""
    assert promql_literal(text) == expression


@pytest.mark.parametrize(
    "text", ["what is the rate of errors", "list foo[3]", "is sum(a) ok", "count(*) of orders", "the up metric", ""]
)
def test_a_sentence_is_no_expression(text: str) -> None:
    """Function names are English words, and brackets alone prove nothing."""
    assert promql_literal(text) is None


@given(st.text(alphabet='rate_sum(){}[]5m"=, by>x\n', max_size=100))
def test_what_is_found_is_part_of_the_text(text: str) -> None:
    """Nothing is made up: the expression stands in the text as it is."""
    found = promql_literal(text)

    assert found is None or (found and found in text)
