"""Which indexes are worth trying."""

import pytest
import sqlglot
from opsroom_databases.index_advice import candidates

COLUMNS = {"orders": ["id", "customer_id", "status", "placed_at"], "customers": ["id", "country"]}


@pytest.mark.parametrize(
    ("sql", "tables", "expected"),
    [
        ("SELECT * FROM orders WHERE customer_id = 5", ["orders"], [("customer_id",)]),
        (
            "SELECT * FROM orders o WHERE o.status IN ('a') AND o.placed_at > 'x'",
            ["o"],
            [("status",), ("placed_at",), ("status", "placed_at")],
        ),
        ("SELECT * FROM orders ORDER BY placed_at DESC", ["orders"], [("placed_at",)]),
        ("SELECT * FROM customers c JOIN orders o ON o.customer_id = c.id", ["o"], [("customer_id",)]),
        ("SELECT * FROM orders WHERE date(placed_at) = 'x'", ["orders"], []),
        ("SELECT * FROM orders WHERE nothing = 1", ["orders"], []),
        ("SELECT * FROM (SELECT 1 AS a) s WHERE s.a = 1", ["s"], []),
        ("SELECT * FROM orders WHERE Customer_ID IS NULL", ["ORDERS"], [("customer_id",)]),
    ],
)
def test_candidates_come_from_conditions(sql: str, tables: list[str], expected: list[tuple[str, ...]]) -> None:
    """Bare columns in conditions, joins and order are worth an index, the shortest first; a column inside a function is not."""
    found = candidates(sqlglot.parse_one(sql, dialect="sqlite"), tables, COLUMNS)

    assert [candidate.columns for candidate in found] == expected


def test_candidates_are_few() -> None:
    """A query with many conditions does not make the engine try every combination."""
    columns = [f"c{number}" for number in range(50)]
    conditions = " AND ".join(f"{name} = 1" for name in columns)
    query = sqlglot.parse_one(f"SELECT * FROM wide WHERE {conditions}", dialect="sqlite")  # noqa: S608 - parsed, never run

    assert len(candidates(query, ["wide"], {"wide": columns})) <= 4
