"""The state in a SQLite file and in a real PostgreSQL: what is written once is written once, whoever else writes."""

import asyncio
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from opsroom_deployments.platforms import Target
from opsroom_deployments.state.records import AuditRecord, DeploymentRecord, PlanRecord
from opsroom_deployments.state.store import Store
from opsroom_shared.errors import Conflict, NotFound, NotPermitted, Unavailable
from pydantic import TypeAdapter

SHOP = Target("shop", "dev")
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
PASSWORD = "swordfish77"  # noqa: S105 - of nothing


def _programs() -> Path | None:
    found = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "initdb").exists()]
    return max(found, key=lambda folder: float(folder.parent.name)) if found else None


@pytest.fixture(scope="session")
def postgres() -> Generator[str]:
    """The URL of a private PostgreSQL; skipped where it is not installed, unless services are required."""
    programs = _programs()
    if programs is None:
        reason = "PostgreSQL is not installed: on Debian apt-get install postgresql"
        if os.environ.get("OPSROOM_REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)

    def run(program: str, *words: str) -> None:
        subprocess.run([programs / program, *words], user=user, cwd=folder, check=True, capture_output=True, timeout=100)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    try:
        run("initdb", "-D", f"{folder}/data", "-U", "boss", "--auth=trust", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options, "-w", "start")
        yield f"postgresql://boss@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [programs / "pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop"], user=user, cwd=folder, check=False
        )
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """None for the file in the state folder."""
    return None if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
async def store(url: str | None, tmp_path: Path) -> AsyncGenerator[Store]:
    store = Store(url, tmp_path / "state")
    yield store
    await store.aclose()


def plan(plan_id: str, **changes: object) -> PlanRecord:
    made = PlanRecord(plan_id, "shop", "dev", "d1g3st", {"action": "deploy"}, {"replicas": 1}, NOW + timedelta(days=3_000))
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - as a test writes it


def deployment(deployment_id: str, plan_id: str, **changes: object) -> DeploymentRecord:
    made = DeploymentRecord(
        deployment_id,
        plan_id,
        "shop",
        "dev",
        "deploy",
        "running",
        "lock",
        None,
        "1.0",
        "ada",
        "a test",
        NOW,
        "here:1",
        NOW,
    )
    return replace(made, **changes)  # pyright: ignore[reportArgumentType] - as a test writes it


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses in the same database."""
    return f"{abs(hash(request.node.nodeid)):x}"[:16]


async def test_what_is_saved_is_read(store: Store, name: str) -> None:
    """A plan, its approval, its deployment, the journal and the end are read as they were written, with their zones."""
    await store.save_plan(plan(f"plan-{name}", service=name))
    await store.approve(f"plan-{name}", "ada at a terminal")
    await store.begin(deployment(f"dep-{name}", f"plan-{name}", service=name))
    await store.step(f"dep-{name}", "here:1", "create", "creating with password=hunter2")
    await store.end(f"dep-{name}", "here:1", "failed", "0.9", {"reason": "it was sick"})
    read = await store.plan(f"plan-{name}")
    ended = await store.deployment(f"dep-{name}")
    [step] = await store.journal(f"dep-{name}")

    assert (read.approved_by, read.deployment_id, read.order, read.expires_at.tzinfo) == (
        "ada at a terminal",
        f"dep-{name}",
        {"replicas": 1},
        UTC,
    )
    assert (ended.state, ended.stage, ended.after, ended.failure) == ("failed", "done", "0.9", {"reason": "it was sick"})
    assert ended.started_at == NOW
    assert (step.stage, step.text) == ("create", "creating with password=***")
    assert await store.running(Target(name, "dev")) == []


async def test_what_is_not_there(store: Store) -> None:
    """A plan and a deployment that nobody has made are not found."""
    with pytest.raises(NotFound):
        await store.plan("plan-0")
    with pytest.raises(NotFound):
        await store.deployment("dep-0")


async def test_plan_belongs_to_one_deployment(store: Store, name: str) -> None:
    """The second one that takes a plan is a conflict, and leaves nothing behind."""
    await store.save_plan(plan(f"plan-{name}", service=name))
    await store.begin(deployment(f"dep-{name}-1", f"plan-{name}", service=name))
    with pytest.raises(Conflict, match="was applied already"):
        await store.begin(deployment(f"dep-{name}-2", f"plan-{name}", service=name))

    assert [each.deployment_id for each in await store.running(Target(name, "dev"))] == [f"dep-{name}-1"]


_RACER = """
import asyncio, json, sys
from pathlib import Path
from opsroom_deployments.state.records import DeploymentRecord
from opsroom_deployments.state.store import Store
from opsroom_shared.errors import Conflict
from pydantic import TypeAdapter

async def main(url, folder, record):
    store = Store(url or None, Path(folder))
    deployment = TypeAdapter(DeploymentRecord).validate_json(record)
    await store.open_plans(deployment.started_at)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        await store.begin(deployment)
        print("won", flush=True)
    except Conflict:
        print("lost", flush=True)
    await store.aclose()

asyncio.run(main(*sys.argv[1:]))
"""
_RECORD: TypeAdapter[DeploymentRecord] = TypeAdapter(DeploymentRecord)


async def test_two_processes_race_for_a_plan(store: Store, url: str | None, tmp_path: Path, name: str) -> None:
    """Of processes that apply the same plan at the same moment, one wins."""
    await store.save_plan(plan(f"plan-{name}", service=name))
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _RACER, url or "", str(tmp_path / "state")),
            _RECORD.dump_json(deployment(f"dep-{name}-{own}", f"plan-{name}", service=name)),
            stdin=-1,
            stdout=-1,
        )
        for own in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
    said = [out.decode() for out, _ in await asyncio.gather(*(racer.communicate(b"go\n") for racer in racers))]

    assert sorted(said) == ["lost\n", "won\n"]
    assert len(await store.running(Target(name, "dev"))) == 1


async def test_deployment_that_was_taken_over_cannot_be_written(store: Store, name: str) -> None:
    """A process that was taken for dead cannot go on, nor end what another one has; of two that take over one does."""
    record = deployment(f"dep-{name}", f"plan-{name}", service=name)
    await store.save_plan(plan(f"plan-{name}", service=name))
    await store.begin(record)
    taken = [await store.take_over(record, owner) for owner in ("here:2", "here:3")]
    stop = await store.alive(f"dep-{name}", "here:1")
    with pytest.raises(Conflict, match="taken over"):
        await store.step(f"dep-{name}", "here:1", "switch", "switching")
    await store.end(f"dep-{name}", "here:1", "succeeded", "1.0", None)
    now = await store.deployment(f"dep-{name}")

    assert (taken, stop) == ([True, False], True)
    assert (now.owner, now.state) == ("here:2", "running")
    assert await store.journal(f"dep-{name}") == []


async def test_who_asks_to_stop_is_heard(store: Store, name: str) -> None:
    """A request to stop reaches the process that carries it out with its next sign of life."""
    await store.save_plan(plan(f"plan-{name}", service=name))
    await store.begin(deployment(f"dep-{name}", f"plan-{name}", service=name))
    before = await store.alive(f"dep-{name}", "here:1")
    await store.ask_to_stop(f"dep-{name}")

    assert (before, await store.alive(f"dep-{name}", "here:1")) == (False, True)


async def test_history_is_the_newest_first_in_a_window(store: Store, name: str) -> None:
    """It is narrowed by service, environment and time, cut into pages, and says how many there are."""
    for number in range(5):
        await store.save_plan(plan(f"plan-{name}-{number}", service=name))
        begun = NOW + timedelta(hours=number)
        await store.begin(deployment(f"dep-{name}-{number}", f"plan-{name}-{number}", service=name, started_at=begun))
    page, total = await store.history(
        service=name, environment="dev", since=NOW + timedelta(hours=1), until=NOW + timedelta(hours=4), limit=2, skip=1
    )
    other, none = await store.history(service=name, environment="prod", since=None, until=None, limit=9)

    assert ([each.deployment_id[-1] for each in page], total) == (["2", "1"], 3)
    assert (other, none) == ([], 0)


async def test_names_of_releases_and_what_was_live(store: Store, name: str) -> None:
    """A name stays taken after its release has failed; live was only what a deployment ended with."""
    for number, (after, state, live) in enumerate([("1.0", "succeeded", "1.0"), ("2.0", "failed", "1.0")]):
        await store.save_plan(plan(f"plan-{name}-{number}", service=name))
        await store.begin(deployment(f"dep-{name}-{number}", f"plan-{name}-{number}", service=name, after=after))
        await store.end(f"dep-{name}-{number}", "here:1", state, live, None)  # pyright: ignore[reportArgumentType] - of the list above

    assert await store.used_names(Target(name, "dev")) == {"1.0", "2.0"}
    assert await store.once_live(Target(name, "dev")) == {"1.0"}


async def test_definitions_are_kept_with_their_versions(store: Store, name: str) -> None:
    """The newest definition counts, and has the next number."""
    versions = [await store.define(name, {"port": port}, "ada") for port in (1, 2)]

    assert versions == [1, 2]
    assert (await store.definitions())[name] == {"port": 2}


async def test_audit_hides_what_people_write_by_mistake(store: Store, name: str) -> None:
    """A reason with a password in it is kept without."""
    await store.note(AuditRecord(NOW, "apply", name, "ada", "a test", "use token=abc123def now", {"plan": "p"}))
    [row] = [row for row in await store.audit() if row.target == name]

    assert (row.why, row.detail) == ("use token=*** now", {"plan": "p"})


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("postgresql://ada:swordfish77@127.0.0.1:1/x", Unavailable, "cannot be used"),
        ("no url swordfish77", NotPermitted, "not a URL of SQLAlchemy"),
        ("oracle://ada:swordfish77@db/x", NotPermitted, "its driver oracledb is not installed"),
    ],
)
async def test_database_that_cannot_be_used(tmp_path: Path, url: str, kind: type[Exception], words: str) -> None:
    """What is wrong is said without the password, and nothing is done without the state."""
    store = Store(url, tmp_path)
    with pytest.raises(kind, match=words) as refused:
        await store.save_plan(plan("plan-1"))
    await store.aclose()

    assert PASSWORD not in str(refused.value)


async def test_state_of_another_version_is_left_alone(tmp_path: Path) -> None:
    """A server that is older than the tables says so and writes nothing."""
    store = Store(None, tmp_path)
    await store.save_plan(plan("plan-1"))
    await store.aclose()
    with closing(sqlite3.connect(tmp_path / "deployments.db")) as connection, connection:
        connection.execute("UPDATE deployments_schema_version SET version = 99")
    later = Store(None, tmp_path)
    with pytest.raises(NotPermitted, match="schema version 99"):
        await later.save_plan(plan("plan-2"))
    await later.aclose()
