"""The tests' own attacks and honest queries, judged by what is left of a real file and by the refusal."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from opsroom_databases.providers.sqlite_file import GuardedFile
from opsroom_databases.providers.sqlite_worker import Read
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import FileSource
from opsroom_shared.errors import ToolFailure

from .answers import Connect
from .corpus import Attack, Honest, attacks, honest_queries, is_small


def observed(file: Path) -> dict[str, str]:
    """Everything that a look from outside can see: the files beside the database, its bytes, its locks."""
    seen = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(file.parent.iterdir())}
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("ROLLBACK")
    return seen


@pytest.mark.parametrize("attack", attacks(), ids=lambda attack: attack.why)
async def test_attack_leaves_no_trace(connect: Connect, clinic: Path, attack: Attack) -> None:
    """An attack changes nothing and makes no file; what must be refused is refused, what costs is bounded."""
    before = observed(clinic)
    sql = attack.sql.replace("@FOLDER@", str(clinic.parent))
    async with connect(query_seconds=1, memory_mib=256) as client:
        result = await client.call_tool("run_query", {"sql": sql}, raise_on_error=False, timeout=30)
        alive = await client.call_tool("run_query", {"sql": "SELECT 1"})

    assert observed(clinic) == before
    assert result.is_error or attack.must == "bounded"
    assert is_small(result)
    assert not alive.is_error


@pytest.mark.parametrize("honest", honest_queries(), ids=lambda honest: honest.sql[:60])
async def test_honest_query_is_answered(connect: Connect, clinic: Path, honest: Honest) -> None:
    """A read that the engine itself runs is answered, with as many columns as the engine gives."""
    with closing(sqlite3.connect(clinic)) as plain:
        columns = plain.execute(honest.sql).description
    async with connect() as client:
        result = await client.call_tool("run_query", {"sql": honest.sql}, raise_on_error=False)

    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert len(result.structured_content["columns"]) == len(columns or ())


@pytest.mark.parametrize("attack", [attack for attack in attacks() if attack.must == "reject"], ids=lambda attack: attack.why)
async def test_engine_holds_without_the_parser(clinic: Path, attack: Attack) -> None:
    """An attack that reached the engine unread would still change nothing: neither guard leans on the other."""
    before = observed(clinic)
    file = GuardedFile("clinic", FileSource(clinic), DatabasesSettings.model_validate({}))
    sql = attack.sql.replace("@FOLDER@", str(clinic.parent))
    read = Read(sql=sql, parameters=[], skip=0, rows=5, bytes=1_000, cell=100, masked=[])
    try:
        outcome = await file.read(read)
    except (ToolFailure, RuntimeError) as failure:
        outcome = failure
    finally:
        await file.aclose()

    assert observed(clinic) == before
    assert outcome is not None
