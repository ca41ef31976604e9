"""Plans in JSON as MariaDB and MySQL write them, and what an account's rights are called; without an engine."""

import json

import pytest
from opsroom_databases.providers.mysql_catalog import account
from opsroom_databases.providers.mysql_plan import read_plan

MYSQL_8 = {
    "query_block": {
        "select_id": 1,
        "cost_info": {"query_cost": "20250.75"},
        "ordering_operation": {
            "using_filesort": True,
            "nested_loop": [
                {
                    "table": {
                        "table_name": "c",
                        "access_type": "ALL",
                        "rows_examined_per_scan": 120,
                        "rows_produced_per_join": 120,
                        "filtered": "100.00",
                    }
                },
                {
                    "table": {
                        "table_name": "r",
                        "access_type": "ALL",
                        "rows_examined_per_scan": 20_000,
                        "filtered": "0.10",
                        "attached_condition": "(`garage`.`r`.`car_id` = `garage`.`c`.`id`)",
                    }
                },
            ],
        },
    }
}


def test_plan_of_mysql_is_read() -> None:
    """The other engine names rows differently; the repeated scan is marked, the small one is not."""
    plan = read_plan(json.dumps(MYSQL_8))

    assert [(step.depth, step.operation.split(" where")[0], step.costly) for step in plan.steps] == [
        (0, "order", False),
        (1, "reads all of c", False),
        (1, "reads all of r", True),
    ]
    assert plan.steps[2].note == "about 20,000 rows, for each of about 120 rows before"
    assert [(scan.alias, scan.conditional) for scan in plan.scans] == [("c", False), ("r", True)]
    assert plan.elapsed_ms is None


def test_plan_of_a_run_marks_what_took_the_time() -> None:
    """With times, the step that took most is marked, not the one with the most rows, and wrong estimates are named."""
    table = {"table_name": "a", "access_type": "ALL", "rows": 50_000, "r_rows": 50_000, "r_loops": 1, "r_table_time_ms": 3.0}
    looked_up = {
        "table_name": "b",
        "access_type": "ref",
        "key": "k",
        "rows": 1,
        "r_rows": 40,
        "r_loops": 900,
        "r_table_time_ms": 90.0,
    }
    never = {"table_name": "c", "access_type": "ref", "key": "k", "rows": 1, "r_loops": 0}
    block = {"select_id": 1, "r_total_time_ms": 100.0, "nested_loop": [{"table": each} for each in (table, looked_up, never)]}

    plan = read_plan(json.dumps({"query_block": block}))

    assert [step.costly for step in plan.steps] == [False, True, False]
    assert plan.steps[1].note == "40 rows in 90.0 ms, 900 times, estimated 1; the estimate is far off: ANALYZE TABLE may help"
    assert plan.steps[2].note == "never executed"
    assert plan.elapsed_ms == 100.0


def test_plan_without_end_is_bounded() -> None:
    """A plan of very many steps is cut."""
    block = {
        "select_id": 1,
        "nested_loop": [{"table": {"table_name": f"t{n}", "access_type": "ALL", "rows": 1}} for n in range(900)],
    }

    assert len(read_plan(json.dumps({"query_block": block})).steps) == 200


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        (["GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*AB'"], "can only read"),
        (["GRANT SELECT, SHOW VIEW ON `x`.* TO `a`@`%`", "GRANT PROCESS ON *.* TO `a`@`%`"], "can only read"),
        (["GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"], "superuser"),
        (["GRANT SELECT, SUPER ON *.* TO `a`@`%`"], "superuser"),
        (["GRANT ALL PRIVILEGES ON `x`.* TO `a`@`%`"], "could write tables;"),
        (["GRANT SELECT (`a`, `b`), INSERT (`a`) ON `x`.`y` TO `a`@`%`"], "could write tables;"),
        (["GRANT SELECT (`insert`) ON `x`.`y` TO `a`@`%`", "GRANT FILE ON *.* TO `a`@`%`"], "could read and write files;"),
        (["GRANT SELECT ON `x`.* TO `a`@`%` WITH GRANT OPTION"], "could hand on its rights;"),
        (["GRANT PROXY ON ''@'%' TO 'a'@'%' WITH GRANT OPTION", "SET DEFAULT ROLE NONE FOR `a`"], "can only read"),
    ],
)  # fmt: skip
def test_rights_are_named(grants: list[str], words: str) -> None:
    """What SHOW GRANTS says is told in words, and its password hashes never are."""
    said = account(grants)

    assert said.startswith(words)
    assert "*AB" not in said
