from pathlib import Path

import pytest
from opsroom.errors import OpsroomError, UsageError
from opsroom.ledger.records import ModelCallRecord, StepRecord, ToolCallRecord, Usage, now
from opsroom.ledger.store import LEDGER_NAME, Ledger
from opsroom.router.decision import Candidate, Decision, Kind, StageName
from sqlalchemy import create_engine, text

DECISION = Decision(
    decision=Kind.ROUTE,
    agents=("databases",),
    stage=StageName.RULES,
    confidence=0.9,
    candidates=(Candidate(agent="databases", score=0.9),),
    reason="tables",
)
MODEL_CALL = ModelCallRecord(
    step=1,
    turn=1,
    rung=0,
    model="claude-opus-5-5",
    prompt="databases@1",
    variant="full",
    outcome="ok",
    detail="",
    input_tokens=1_000,
    output_tokens=50,
    cache_read_tokens=0,
    cache_write_tokens=0,
    cost_usd=0.005,
    first_token_ms=80.0,
    elapsed_ms=300.0,
    at=now(),
)
TOOL_CALL = ToolCallRecord(
    step=1,
    agent="databases",
    server="databases",
    tool="run_query",
    arguments='{"sql": "select 1"}',
    ok=False,
    code="timeout",
    elapsed_ms=8_000.0,
    at=now(),
)
STEP = StepRecord(
    number=1, agent="databases", status="done", summary="two tables", tools_shown=("run_query: pinned",), elapsed_ms=9.0
)


async def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """Everything recorded of a run is there again after the ledger was closed and opened."""
    async with Ledger.at(tmp_path) as ledger:
        await ledger.begin("r1", "which tables?", "ada", "2026-11-24T10:00:00.000Z")
        await ledger.decided("r1", DECISION)
        for row in (STEP, MODEL_CALL, TOOL_CALL):
            await ledger.record("r1", row)
        usage = Usage(input_tokens=1_000, output_tokens=50, cost_usd=0.005)
        await ledger.finish("r1", status="done", answer="two", model="claude-opus-5-5", elapsed_ms=12.5, usage=usage)

    async with Ledger.at(tmp_path) as ledger:
        detail = await ledger.run("r1")

    assert detail.run.status == "done"
    assert detail.run.user == "ada"
    assert detail.run.cost_usd == 0.005
    assert detail.decision is not None
    assert detail.decision.agents == ["databases"]
    assert detail.steps[0].agent == "databases"
    assert list(detail.steps[0].tools_shown) == ["run_query: pinned"]
    assert detail.model_calls == [MODEL_CALL]
    assert detail.tool_calls == [TOOL_CALL]


async def test_a_secret_in_a_request_or_an_answer_is_not_kept(tmp_path: Path) -> None:
    """What people paste, and what comes back, is stored without passwords and keys."""
    async with Ledger.at(tmp_path) as ledger:
        await ledger.begin("r1", "connect to postgres://app:hunter2@db/shop", None, now())
        await ledger.finish("r1", status="done", answer="password=hunter2", model=None, elapsed_ms=1, usage=Usage())

        detail = await ledger.run("r1")

    assert "hunter2" not in f"{detail.run.text} {detail.run.answer}"
    assert "postgres://app:" in detail.run.text


async def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    """`runs` gives the latest ones, the newest at the top, no more than asked for."""
    async with Ledger.at(tmp_path) as ledger:
        for hour in (10, 12, 11):
            await ledger.begin(f"r{hour}", "x", None, f"2026-11-24T{hour}:00:00.000Z")

        found = await ledger.runs(limit=2)

    assert [run.id for run in found] == ["r12", "r11"]


@pytest.mark.parametrize("typed", ["20261124", "20261124-1000"])
async def test_a_run_is_found_by_the_beginning_of_its_id(tmp_path: Path, typed: str) -> None:
    """Nobody has to type a whole id."""
    async with Ledger.at(tmp_path) as ledger:
        await ledger.begin("20261124-100000-abc", "x", None, now())

        detail = await ledger.run(typed)

    assert detail.run.id == "20261124-100000-abc"


@pytest.mark.parametrize(("typed", "said"), [("2026", "several runs"), ("%", "no run"), ("none", "no run")])
async def test_an_id_that_does_not_name_one_run_is_refused(tmp_path: Path, typed: str, said: str) -> None:
    """An ambiguous or unknown id, or a wildcard, is an error that says which."""
    async with Ledger.at(tmp_path) as ledger:
        for name in ("2026a", "2026b"):
            await ledger.begin(name, "x", None, now())

        with pytest.raises(UsageError, match=said):
            await ledger.run(typed)


async def test_two_processes_can_write_at_once(tmp_path: Path) -> None:
    """Two ledgers on one folder do not lock each other out."""
    async with Ledger.at(tmp_path) as one, Ledger.at(tmp_path) as other:
        for number in range(20):
            await one.begin(f"a{number}", "x", None, now())
            await other.begin(f"b{number}", "x", None, now())

        assert len(await one.runs(limit=100)) == 40


def test_a_folder_that_cannot_hold_a_ledger_is_refused(tmp_path: Path) -> None:
    """A file where the folder should be: one line that names it."""
    (tmp_path / "state").write_text("")

    with pytest.raises(OpsroomError, match="state cannot be used"):
        Ledger.at(tmp_path / "state")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Something else under the ledger's name is left alone and reported."""
    (tmp_path / LEDGER_NAME).write_text("not a database, by far " * 100)

    with pytest.raises(OpsroomError, match="not a database"):
        Ledger.at(tmp_path)


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Rows of a schema that this version does not know are not touched."""
    Ledger.at(tmp_path)
    with create_engine(f"sqlite:///{tmp_path / LEDGER_NAME}").begin() as connection:
        connection.execute(text("UPDATE schema_version SET version = 99"))

    with pytest.raises(UsageError, match="version 99"):
        Ledger.at(tmp_path)


def test_a_sum_with_an_unknown_cost_is_unknown() -> None:
    """One call without a price makes the total unknown, never smaller."""
    total = Usage(10, 5, 0.01) + Usage(10, 5, None) + Usage(1, 1, 0.02)

    assert total == Usage(21, 11, None)
