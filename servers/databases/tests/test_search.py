"""Finding tables by words."""

import pytest
from opsroom_databases.models import Column
from opsroom_databases.providers import Relation
from opsroom_databases.search import MAX_FOUND, find


def relation(name: str, *columns: str, size: int | None = None) -> Relation:
    return Relation(name, "table", tuple(Column(name=column, type="TEXT") for column in columns), size_bytes=size)


SHOP = [
    relation("orders", "id", "customer_id", "placed_at", size=500),
    relation("order_lines", "id", "order_id", size=900),
    relation("customers", "id", "email", size=100),
    relation("supportTickets", "id", "customer_id", "subject", size=50),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("*", ["order_lines", "orders", "customers", "supportTickets"]),
        ("", ["order_lines", "orders", "customers", "supportTickets"]),
        ("orders", ["orders", "order_lines"]),
        ("order lines", ["order_lines", "orders"]),
        ("ORDER*", ["order_lines", "orders"]),
        ("email", ["customers"]),
        ("support tickets", ["supportTickets"]),
        ("*_id", ["order_lines", "orders", "supportTickets"]),
        ("customer", ["customers", "orders", "supportTickets"]),
    ],
)
def test_best_match_comes_first(query: str, expected: list[str]) -> None:
    """Names count more than columns, whole words more than parts, and the larger table comes first among equals."""
    matches, hint = find(SHOP, query)

    assert [match.name for match in matches] == expected
    assert hint is None


def test_nothing_found_names_the_nearest() -> None:
    """A search without a match says what there is instead."""
    matches, hint = find(SHOP, "custmers")

    assert matches == []
    assert hint is not None
    assert "Did you mean customers" in hint
    assert "lists all 4" in hint


def test_long_lists_are_cut() -> None:
    """A schema of many tables is answered with the best, and a sentence on how to narrow."""
    matches, hint = find([relation(f"t{number}", "a") for number in range(MAX_FOUND + 20)], "*")

    assert len(matches) == MAX_FOUND
    assert hint is not None
    assert hint.startswith("20 more match")
