"""Plans of PostgreSQL, read from their JSON."""

import json

import pytest
from opsroom_databases.providers.postgres_plan import read_plan

SCAN = {
    "Node Type": "Seq Scan",
    "Relation Name": "stays",
    "Schema": "public",
    "Alias": "s",
    "Total Cost": 5_000.0,
    "Plan Rows": 40,
    "Filter": "(s.room = 7)",
}
HASH = {"Node Type": "Hash", "Total Cost": 30.0, "Plan Rows": 10}
JOIN = {
    "Node Type": "Hash Join",
    "Join Type": "Left",
    "Hash Cond": "(a.id = b.id)",
    "Total Cost": 5_100.0,
    "Plan Rows": 9,
    "Plans": [SCAN, HASH],
}


def test_costly_step_is_the_one_that_costs_by_itself() -> None:
    """A step counts for what it adds to the steps below it, so the join above the scan is not marked."""
    plan = read_plan(json.dumps([{"Plan": JOIN}]))

    assert [(step.depth, step.costly) for step in plan.steps] == [(0, False), (1, True), (1, False)]
    assert plan.steps[0].operation == "Hash Join Left [hash cond: (a.id = b.id)]"
    assert plan.steps[1].operation == "Seq Scan on stays s [filter: (s.room = 7)]"
    assert plan.steps[1].note == "about 40 rows, cost 5,000"
    assert (plan.cost, plan.rows, plan.elapsed_ms) == (5_100.0, None, None)
    assert [(scan.schema, scan.table, scan.alias, scan.filtered) for scan in plan.scans] == [("public", "stays", "s", True)]


def test_step_below_a_limit_counts_for_what_is_used_of_it() -> None:
    """A scan that a LIMIT ends early is not costly, however much the whole of it would cost."""
    limit = {"Node Type": "Limit", "Total Cost": 2.0, "Plan Rows": 3, "Plans": [SCAN]}
    plan = read_plan(json.dumps([{"Plan": limit}]))

    assert not any(step.costly for step in plan.steps)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"Actual Rows": 400, "Actual Loops": 1}, "400 rows in 9.0 ms, estimated 40; the estimate is far off"),
        ({"Actual Rows": 4, "Actual Loops": 1}, "4 rows in 9.0 ms, estimated 40"),
        ({"Actual Rows": 40, "Actual Loops": 3}, "40 rows in 27.0 ms, 3 times, estimated 40"),
        ({"Actual Rows": 0, "Actual Loops": 0}, "never executed"),
        ({"Actual Rows": 40, "Actual Loops": 2, "Rows Removed by Filter": 50}, "100 rows thrown away"),
        ({"Actual Rows": 40, "Actual Loops": 1, "Sort Space Type": "Disk"}, "uses the disk"),
    ],
)
def test_estimates_stand_against_what_came(more: dict[str, object], words: str) -> None:
    """After a run each step says how many rows came, how often, in what time, and what was expected."""
    node = SCAN | {"Actual Total Time": 9.0} | more
    plan = read_plan(json.dumps([{"Plan": node, "Execution Time": 27.5}]))

    assert plan.steps[0].note is not None
    assert words in plan.steps[0].note
    assert plan.elapsed_ms == 27.5


def test_outside_text_in_a_plan_is_cleaned() -> None:
    """Names in a plan come from the database, and lose their control characters."""
    plan = read_plan(json.dumps([{"Plan": SCAN | {"Relation Name": "a\x1b[2Jb"}}]))

    assert "ab" in plan.steps[0].operation
    assert "\x1b" not in plan.steps[0].operation
