"""Reading and judging SQLite's plans."""

import pytest
from opsroom_databases.plans import gain, plan_rows, scanned, steps

BIG = {"orders": 50_000, "o": 50_000, "c": 300}


def rows(*details: str) -> list[tuple[int, int, int, str]]:
    return [(number, 0, 0, detail) for number, detail in enumerate(details, 1)]


@pytest.mark.parametrize(
    ("details", "costly"),
    [
        (["SCAN orders"], [True]),
        (["SCAN c"], [False]),
        (["SEARCH orders USING INDEX i (a=?)"], [False]),
        (["SCAN c", "SCAN o"], [False, True]),
        (["SEARCH o USING INDEX i (a=?)", "SCAN c"], [False, True]),
        (["SCAN o USING COVERING INDEX i"], [True]),
        (["SCAN c", "SEARCH o USING AUTOMATIC COVERING INDEX (customer_id=?)"], [False, True]),
        (["SCAN o", "USE TEMP B-TREE FOR ORDER BY"], [True, True]),
        (["SCAN c", "USE TEMP B-TREE FOR GROUP BY"], [False, False]),
        (["SCAN letters VIRTUAL TABLE INDEX 0:M2"], [False]),
        (["SCAN CONSTANT ROW"], [False]),
    ],
    ids=lambda value: "+".join(value) if value and isinstance(value[0], str) else None,
)
def test_costly_steps_are_marked(details: list[str], costly: list[bool]) -> None:
    """Full reads of large tables, repeated reads, indexes for one query and large sorts are costly; the rest is not."""
    assert [step.costly for step in steps(plan_rows(rows(*details)), BIG)] == costly


def test_depth_follows_the_parents() -> None:
    """A step stands below the step that it belongs to."""
    plan = plan_rows([(2, 0, 0, "CO-ROUTINE x"), (5, 2, 0, "SCAN orders"), (9, 0, 0, "SCAN x")])

    assert [step.depth for step in steps(plan, BIG)] == [0, 1, 0]


def test_scanned_names_what_an_index_could_serve() -> None:
    """Tables read from end to end, or indexed for this query alone, are named once each; virtual tables are not."""
    plan = plan_rows(rows("SCAN o", "SEARCH c USING AUTOMATIC INDEX (id=?)", "SCAN d VIRTUAL TABLE INDEX 0:", "SCAN o"))

    assert scanned(plan) == ["o", "c"]


@pytest.mark.parametrize(
    ("after", "effect"),
    [
        (["SEARCH orders USING INDEX new (a=?)"], "SCAN orders becomes SEARCH orders USING INDEX it (a=?), and a sort is saved"),
        (["SCAN orders USING INDEX new"], "SCAN orders becomes SCAN orders USING INDEX it, and a sort is saved"),
        (["SCAN orders USING INDEX new", "USE TEMP B-TREE FOR ORDER BY"], None),
        (["SCAN orders", "USE TEMP B-TREE FOR ORDER BY"], None),
    ],
)
def test_gain_is_only_what_gets_better(after: list[str], effect: str | None) -> None:
    """An index helps when the engine searches with it or saves a sort, not when it reads as much as before."""
    before = plan_rows(rows("SCAN orders", "USE TEMP B-TREE FOR ORDER BY"))

    assert gain(before, plan_rows(rows(*after)), "new") == effect
