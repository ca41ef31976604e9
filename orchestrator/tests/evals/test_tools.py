import json
from collections import Counter

import pytest
from opsroom.agents.registry import load_agents
from opsroom.evals.tools import (
    Part,
    Recall,
    ToolsReport,
    ToolTask,
    load_baseline,
    load_table,
    load_tasks,
    regressions,
    score,
)

AGENTS = load_agents()
TABLE = load_table()
PARTS: tuple[Part, ...] = ("tasks", "held_out")

every_part = pytest.mark.parametrize("part", PARTS)


def report(part: Part = "tasks") -> ToolsReport:
    return score(AGENTS, TABLE, load_tasks(part))


@every_part
def test_recall_has_not_fallen(part: Part) -> None:
    """No agent sees fewer of the tools it needs than when the baseline was committed."""
    assert regressions(report(part), load_baseline(part)) == ()


@every_part
def test_the_baseline_covers_every_figure(part: Part) -> None:
    """A setting or agent that the baseline leaves out could fall unseen."""
    measured = report(part).to_json()["recall"]
    assert isinstance(measured, dict)

    assert measured.keys() == load_baseline(part).keys()
    assert all(agents.keys() == {*AGENTS, "all"} for agents in load_baseline(part).values())


def test_the_table_is_the_suite_s() -> None:
    """Every tool of the four servers, once, those that write marked."""
    assert Counter(tool.server for tool in TABLE) == {"code_review": 11, "databases": 8, "deployments": 8, "monitoring": 8}
    assert len({tool.name for tool in TABLE}) == len(TABLE)
    assert {tool.name for tool in TABLE if not tool.read_only} == {
        *("run_write", "submit_review", "reply_thread", "edit_change", "save_task"),
        *("apply_deployment", "rollback_deployment", "define_service", "silence_alert"),
    }


def test_the_tasks_cover_every_tool() -> None:
    """Each agent has its share of the tasks, and each tool is needed by at least one of them."""
    tasks = load_tasks()
    servers = {tool.name: tool.server for tool in TABLE}

    assert all(count >= 15 for count in Counter(task.agent for task in tasks).values())
    assert {name for task in tasks for name in task.tools} == {*servers}
    assert all(servers[name] == task.agent for task in tasks for name in task.tools)


def test_no_request_is_there_twice() -> None:
    """Neither among the tasks, nor held out and seen, nor among the examples that the catalogue reads."""
    texts = [task.text.casefold() for part in PARTS for task in load_tasks(part)]
    examples = {example.casefold() for agent in AGENTS.values() for example in agent.examples}

    assert len({*texts}) == len(texts)
    assert {*texts} & examples <= {"which tables are biggest?"}


def test_a_subset_that_lacks_a_tool_is_a_miss() -> None:
    """Recall is the share of the needed tools that are shown, and the miss says what was shown instead."""
    tasks = (
        ToolTask(agent="databases", text="run it", tools=("run_query", "no_such_tool")),
        ToolTask(agent="databases", text="run it", tools=("run_query",)),
    )

    result = score(AGENTS, TABLE, tasks)

    assert result.recall("own tools", "databases") == 0.75
    assert Recall("own tools", "databases", tasks=2, recall=0.75, complete=0.5) in result.recalls
    assert {miss.missing for miss in result.misses} == {("no_such_tool",)}
    assert all("run_query" in miss.shown for miss in result.misses)


def test_a_fall_is_reported_in_words() -> None:
    """Setting, agent, figure now and before."""
    result = score(AGENTS, TABLE, [ToolTask(agent="databases", text="run it", tools=("run_query", "no_such_tool"))])

    assert regressions(result, {"own tools": {"databases": 0.9}}) == ("own tools, databases: recall 0.5000, was 0.9000",)


def test_without_pins_only_words_decide() -> None:
    """The figure without pins shows what the catalogue itself is worth."""
    agents = {"databases": AGENTS["databases"].model_copy(update={"pins": ("list_databases", "database_health", "top_queries")})}
    tasks = [ToolTask(agent="databases", text="list_threads get_checks read_diff find_tasks read_file", tools=("top_queries",))]

    result = score(agents, TABLE, tasks)

    assert result.recall("whole suite", "databases") == 1
    assert result.recall("whole suite, no pins", "databases") == 0


def test_the_report_is_json_and_a_table() -> None:
    """`--json` takes it as it is; the table has a heading, a line per agent and one for all."""
    result = report()

    assert json.loads(json.dumps(result.to_json()))["recall"]["own tools"]["all"] == result.recall()
    assert [row[0] for row in result.rows()] == ["agent", *sorted(AGENTS), "all"]
    assert len({len(row) for row in result.rows()}) == 1


def test_no_tasks_give_an_empty_report() -> None:
    """Nothing to measure is not an error."""
    assert score(AGENTS, TABLE, []) == ToolsReport((), (), 0.0)
