"""The generic provider on SQLite by SQLAlchemy's own dialect: an engine whose schema comes from SQLAlchemy's inspection."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path

import pytest
from opsroom_databases.providers import Sampling
from opsroom_databases.providers.generic import GenericDatabase
from opsroom_databases.settings import DatabasesSettings
from opsroom_databases.sources import AlchemySource
from opsroom_shared.errors import InvalidInput, NotPermitted
from pydantic import SecretStr

SCHEMA = """
    CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody', api_key TEXT,
      loud TEXT GENERATED ALWAYS AS (upper(api_key)) VIRTUAL);
    CREATE TABLE pets (id INTEGER PRIMARY KEY, owner_id INTEGER REFERENCES owners (id), weight NUMERIC(6, 2), photo BLOB);
    CREATE INDEX pets_owner ON pets (owner_id);
    CREATE INDEX pets_owner_too ON pets (owner_id);
    CREATE VIEW keys AS SELECT id, api_key AS k FROM owners;
    INSERT INTO owners (id, name, api_key) VALUES (1, 'Ada', 'hunter2'), (2, '', NULL);
    INSERT INTO pets VALUES (1, 1, 4.25, x'00ff'), (2, 2, NULL, NULL);
"""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[GenericDatabase]:
    """A small database, reached through SQLAlchemy."""
    file = tmp_path / "pets.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCHEMA)
    opened = GenericDatabase(
        "pets", AlchemySource("sqlite", SecretStr(f"sqlite+pysqlite:///{file}")), DatabasesSettings.model_validate({})
    )
    yield opened
    await opened.aclose()


async def test_schema_is_inspected(database: GenericDatabase) -> None:
    """Relations, columns, keys and indexes are those of SQLAlchemy's inspection."""
    relations = {each.name: each for each in await database.relations()}
    pets = await database.describe("pets", Sampling(rows=5))
    owners = await database.describe("owners", Sampling(rows=5))

    assert {name: each.kind for name, each in relations.items()} == {"owners": "table", "pets": "table", "keys": "view"}
    assert relations["pets"].indexes == ("pets_owner (owner_id)", "pets_owner_too (owner_id)")
    assert [column.primary_key for column in pets.columns] == [1, None, None, None]
    assert [(key.table, key.to_columns) for key in pets.foreign_keys] == [("owners", ["id"])]
    assert [(each.table, each.columns) for each in owners.referenced_by] == [("pets", ["owner_id"])]
    assert pets.sample is not None
    assert pets.sample[1] == [2, 2, None, None]
    assert owners.sample == [[1, "Ada", "***", "***"], [2, "", None, None]]


async def test_query_is_answered(database: GenericDatabase) -> None:
    """A read is answered with its values."""
    rows = await database.query("SELECT o.name, p.photo FROM pets p JOIN main.owners o ON o.id = p.owner_id", limit=5, skip=0)

    assert rows.rows == [["Ada", "<blob of 2 bytes, sha256 06eb7d6a69ee19e5…>"], ["", None]]
    assert [column.name for column in rows.columns] == ["name", "photo"]


async def test_secret_is_masked_through_a_view(database: GenericDatabase) -> None:
    """What a view makes of a secret is masked, and may not be used otherwise."""
    rows = await database.query("SELECT k FROM keys ORDER BY id", limit=5, skip=0)

    assert rows.rows == [["***"], [None]]
    with pytest.raises(NotPermitted, match="masked"):
        await database.query("SELECT k || '' FROM keys", limit=5, skip=0)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM pets",
        "SELECT load_extension('x')",
        "SELECT * FROM sqlite_master",
        "PRAGMA user_version = 5",
        "ATTACH 'x' AS y",
    ],
)
async def test_attack_is_refused(database: GenericDatabase, sql: str) -> None:
    """The rules hold whatever the engine is."""
    with pytest.raises((NotPermitted, InvalidInput)):
        await database.query(sql, limit=5, skip=0)


async def test_plan_is_refused_in_words(database: GenericDatabase) -> None:
    """Where the form of plans is not known, that is said."""
    with pytest.raises(InvalidInput, match="Plans of sqlite cannot be shown"):
        await database.explain("SELECT 1", analyze=False)


async def test_index_that_is_there_twice_is_found(database: GenericDatabase) -> None:
    """Indexes are compared by inspection alone."""
    health = await database.health("indexes")

    assert [finding.subject for finding in health.findings] == ["pets_owner_too"]
