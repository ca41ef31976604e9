from typing import TypeAlias, cast

import pytest
from opsroom.agents.definition import AgentDefinition
from opsroom.agents.offline import plan_calls, unknown_placeholders
from opsroom.agents.registry import load_agents
from opsroom.evals.tools import load_table

AGENTS = load_agents()
TABLE = load_table()
TOOLS = {tool.name: tool for tool in TABLE}

Calls: TypeAlias = list[tuple[str, dict[str, str | int | float | bool]]]

NOTHING: dict[str, str | int | float | bool] = {}

every_agent = pytest.mark.parametrize("agent", AGENTS.values(), ids=lambda agent: agent.name)


def offline(name: str, text: str, sql: str | None = None) -> Calls:
    return [(call.tool.name, call.arguments) for call in plan_calls(AGENTS[name], text, TABLE, {"sql": sql})]


@every_agent
def test_an_agent_says_what_it_is_for(agent: AgentDefinition) -> None:
    """One sentence that a person chooses by, and ten to fifteen different requests of people."""
    assert agent.description.endswith(".")
    assert ". " not in agent.description
    assert 10 <= len(set(agent.examples)) <= 15


@every_agent
def test_pins_are_few_and_only_read(agent: AgentDefinition) -> None:
    """Pins leave room for what the task needs, and none of them can change anything."""
    assert len(agent.pins) <= 3
    assert all(TOOLS[pin].read_only and TOOLS[pin].server == agent.name for pin in agent.pins)


@every_agent
def test_calls_without_a_model_fit_the_tools(agent: AgentDefinition) -> None:
    """Each offline call names a tool that reads, parameters that it has, and placeholders that something fills."""
    for call in agent.offline:
        schema = cast("dict[str, list[str]]", TOOLS[call.tool].input_schema)

        assert TOOLS[call.tool].read_only
        assert {*schema["required"]} <= {*call.arguments} <= {*schema["properties"]}
        assert unknown_placeholders(call) == []


@every_agent
def test_every_request_has_an_answer_without_a_model(agent: AgentDefinition) -> None:
    """The last call takes whatever the others do not recognise, so none of the agent's examples goes unanswered."""
    assert agent.offline[-1].match == ""
    assert all(offline(agent.name, text) for text in agent.examples)


@pytest.mark.parametrize(
    ("text", "sql", "expected"),
    [
        ("which tables are biggest?", None, [("search_schema", {"query": "*"})]),
        ("what tables do we have", None, [("search_schema", {"query": "*"})]),
        ("describe the orders table", None, [("describe_table", {"table": "orders"})]),
        ("Describe table public.orders", None, [("describe_table", {"table": "public.orders"})]),
        ("what columns does orders have", None, [("describe_table", {"table": "orders"})]),
        ("is there an index on payments.order_id?", None, [("describe_table", {"table": "payments"})]),
        ("what databases are there", None, [("list_databases", NOTHING)]),
        ("run select 1 for me", "select 1", [("run_query", {"sql": "select 1"})]),
        ("explain select 1", "select 1", [("explain_query", {"sql": "select 1"})]),
        ("explain this to me", None, [("search_schema", {"query": "explain this to me"})]),
        ("who is blocking whom? any deadlocks", None, [("database_health", NOTHING)]),
        ("the slowest queries of today", None, [("top_queries", NOTHING)]),
        ("tracking numbers", None, [("search_schema", {"query": "tracking numbers"})]),
    ],
)
def test_databases_without_a_model(text: str, sql: str | None, expected: Calls) -> None:
    """A statement is run or explained as it stands, a named table is described, anything else is searched for."""
    assert offline("databases", text, sql) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D1204", [("get_change", {"change": "D1204"})]),
        ("review acme/web#90 please", [("get_change", {"change": "acme/web#90"}), ("read_diff", {"change": "acme/web#90"})]),
        ("comments on D12?", [("list_threads", {"change": "D12"}), ("get_change", {"change": "D12"})]),
        (
            "why is the build of team/app!7 red",
            [("get_checks", {"change": "team/app!7"}), ("get_change", {"change": "team/app!7"})],
        ),
        ("what's waiting for my review", [("find_changes", {"role": "todo", "state": "open"})]),
        ("my open diffs", [("find_changes", {"role": "author", "state": "open"})]),
        ("which tickets are mine", [("find_tasks", {"owner": "me", "status": "open"}), ("find_tasks", {"status": "open"})]),
        ("T881", [("list_threads", {"task": "T881"})]),
        ("who touched billing/invoice.py", [("find_changes", {"path": "billing/invoice.py", "state": "all"})]),
        ("what is up", [("find_changes", {"state": "open"})]),
    ],
)
def test_code_review_without_a_model(text: str, expected: Calls) -> None:
    """A reference is looked up together with the part that was asked about; otherwise open work is listed."""
    assert offline("code_review", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what version of checkout is live", [("deployment_status", {"service": "checkout"})]),
        ("is the mailer running?", [("deployment_status", {"service": "mailer"})]),
        ("history of payments", [("deployment_history", {"service": "payments"})]),
        ("when was search last deployed", [("deployment_history", {"service": "search"})]),
        ("what went out last night", [("deployment_history", NOTHING)]),
        ("logs of the mailer", [("release_logs", {"service": "mailer"})]),
        ("what runs where", [("deployment_status", NOTHING)]),
        ("what version is live in the production environment", [("deployment_status", NOTHING)]),
        ("what is running in production?", [("deployment_status", {"environment": "production"})]),
        ("what was deployed to production this week?", [("deployment_history", {"environment": "production"})]),
        ("what was released yesterday", [("deployment_history", NOTHING)]),
        (
            "plan a release of checkout 1.5.0 to staging",
            [
                (
                    "plan_deployment",
                    {"service": "checkout", "environment": "staging", "action": "deploy", "version": "1.5.0"},
                ),
                ("deployment_history", {"service": "checkout"}),
            ],
        ),
    ],
)
def test_deployments_without_a_model(text: str, expected: Calls) -> None:
    """State, history or logs of the service that was named, of all of them when none was."""
    assert offline("deployments", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what's firing?", [("list_alerts", NOTHING)]),
        ("what changed in checkout", [("what_changed", {"service": "checkout"})]),
        ("what changed at noon", [("what_changed", NOTHING)]),
        ("sum(rate(http_requests_total[5m]))", [("query_metrics", {"query": "sum(rate(http_requests_total[5m]))"})]),
        ('graph up{job="web"} please', [("query_metrics", {"query": 'up{job="web"}'})]),
        ("value of `rate(x[5m])`?", [("query_metrics", {"query": "rate(x[5m])"})]),
        ("logs of checkout", [("search_logs", {"query": '{service="checkout"}'})]),
        ("show me the checkout logs", [("search_logs", {"query": '{service="checkout"}'})]),
        ("which targets are down", [("find_telemetry", {"kind": "targets"})]),
        ("metrics about kafka", [("find_telemetry", {"kind": "metrics", "match": "kafka"})]),
        ("latency of the api", [("system_overview", {"service": "api"})]),
        ("is anything alerting?", [("list_alerts", NOTHING)]),
        ("what changed in the last hour?", [("what_changed", NOTHING)]),
        ("plot latency of the demo service", [("plot_metrics", {"signal": "latency"})]),
        ("graph the errors of the checkout", [("plot_metrics", {"signal": "errors", "service": "checkout"})]),
        ("is anything wrong", [("system_overview", NOTHING)]),
    ],
)
def test_monitoring_without_a_model(text: str, expected: Calls) -> None:
    """An expression is evaluated as it stands; otherwise alerts, changes, logs or the overview, of the named service if any."""
    assert offline("monitoring", text) == expected


@every_agent
@pytest.mark.parametrize(
    "text",
    ["a" * 100_000, "a/" * 50_000, "describe " * 11_000, "logs of " * 12_000, "sum(" * 25_000, "a{" * 50_000, "`" * 100_000],
    ids=["a", "a/", "describe", "logs of", "sum(", "a{", "backticks"],
)
def test_patterns_do_not_choke_on_a_long_request(agent: AgentDefinition, text: str) -> None:
    """No pattern backtracks without end: a request of 100 kB gets its calls."""
    assert offline(agent.name, text)
