"""The tools: plain functions over the registry; nothing in here knows an engine."""

import asyncio
import hashlib
from typing import Annotated

from fastmcp import Context
from fastmcp.dependencies import CurrentContext, Depends
from opsroom_shared.errors import InvalidInput
from opsroom_shared.progress import with_progress
from opsroom_shared.tools import Tool, lifespan_value
from pydantic import Field

from .health import Focus
from .models import DatabaseHealth, DatabaseList, Explanation, Matches, QueryPage, TableDescription, TopQueries
from .registry import Registry
from .workload import Order

MAX_SQL = 100_000
_MAX_SKIP = 1_000_000


def the_registry(context: Context = CurrentContext()) -> Registry:
    return lifespan_value(context, Registry)


Sql = Annotated[str, Field(description="One read-only statement in the database's dialect.", min_length=1, max_length=MAX_SQL)]
DatabaseName = Annotated[
    str | None, Field(description="From list_databases; may be left out where there is only one.", max_length=64)
]


async def list_databases(registry: Registry = Depends(the_registry)) -> DatabaseList:
    """List the configured databases: dialect, version, size, and whether each answers."""
    states = await asyncio.gather(*(database.status() for database in registry.all()))
    return DatabaseList(
        databases=[state.model_copy(update={"read_only": not registry.may_write(state.name)}) for state in states]
    )


async def search_schema(
    query: Annotated[str, Field(description="Words, or a glob such as order*; * lists all, biggest first.", max_length=200)],
    database: DatabaseName = None,
    *,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> Matches:
    """Find tables and views by name, column or index, with row counts and sizes in bytes. The best match comes first."""
    from .search import find

    opened = registry.get(database)
    relations, hint = find(await with_progress(opened.relations(), context, "reading the schema"), query)
    return Matches(database=opened.name, relations=relations, truncated=hint is not None and bool(relations), hint=hint)


async def describe_table(
    table: Annotated[str, Field(description="A table or view, as search_schema names it.", min_length=1, max_length=200)],
    database: DatabaseName = None,
    sample_rows: Annotated[int, Field(description="How many rows to show.", ge=0, le=20)] = 0,
    *,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> TableDescription:
    """Describe a table or view: columns, keys, indexes, foreign keys in both directions, row count, and rows on request."""
    from .providers import Sampling

    described = registry.get(database).describe(table, Sampling(rows=sample_rows))
    return await with_progress(described, context, "reading the table")


async def run_query(
    sql: Sql,
    database: DatabaseName = None,
    limit: Annotated[int, Field(description="Most rows to return.", ge=1, le=10_000)] = 100,
    cursor: Annotated[
        str | None, Field(description="next_cursor of the page before, with the same sql.", max_length=4_096)
    ] = None,
    *,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> QueryPage:
    """Run one read-only statement and return its rows as CSV.

    Rows, bytes, cells and time are limited; a truncated answer has a cursor for the next page.
    """
    opened = registry.get(database)
    question = f"{opened.name}\0{hashlib.sha256(sql.encode('utf-8', 'surrogatepass')).hexdigest()}"
    skip, state = _position(registry, question, cursor)
    limit = min(limit, registry.settings.max_rows)
    page = await with_progress(opened.query(sql, limit=limit, skip=skip), context, "running the query")
    following = skip + len(page.rows)
    hints: list[str] = []
    if state is not None and state != page.state:
        hints.append("The database has changed since the page before: rows may be missing or appear twice.")
    next_cursor = None
    if page.more and following <= _MAX_SKIP:
        next_cursor = registry.cursors.encode(question, [following, page.state])
        hints.append("Or narrow it: name fewer columns, add WHERE, or aggregate.")
    elif page.more:
        hints.append("There are more rows than can be paged through; add WHERE with a key range, or aggregate.")
    return QueryPage(
        columns=page.columns,
        rows=page.rows,
        row_count=len(page.rows),
        truncated=page.more,
        next_cursor=next_cursor,
        hint=" ".join(hints) or None,
        masked=[*page.masked],
    )


async def explain_query(
    sql: Sql,
    database: DatabaseName = None,
    *,
    analyze: Annotated[bool, Field(description="Also run it, within the limits, and report rows and time.")] = False,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> Explanation:
    """Show how the engine would run a query, with the costly steps marked, and advise indexes that it was checked to use."""
    return await with_progress(registry.get(database).explain(sql, analyze=analyze), context, "explaining the query")


async def database_health(
    database: DatabaseName = None,
    focus: Annotated[Focus, Field(description="activity: sessions, locks, replication; storage: tables, files.")] = "all",
    *,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> DatabaseHealth:
    """Find what is wrong with a database: locks, idle transactions, bloat, old statistics, indexes, sequences.

    Each finding has evidence and what to do; what could not be checked is said.
    """
    return await with_progress(registry.get(database).health(focus), context, "checking the database")


async def top_queries(
    database: DatabaseName = None,
    limit: Annotated[int, Field(description="Most queries to return.", ge=1, le=50)] = 10,
    order: Annotated[Order, Field(description="What makes a query costly.")] = "total_time",
    *,
    registry: Registry = Depends(the_registry),
    context: Context = CurrentContext(),
) -> TopQueries:
    """List the queries that cost the engine most, as it has counted them; where it does not count, how to switch that on."""
    return await with_progress(registry.get(database).top_queries(order, limit), context, "reading the statistics")


READ_TOOLS = (
    Tool(list_databases),
    Tool(search_schema),
    Tool(describe_table),
    Tool(run_query),
    Tool(explain_query),
    Tool(database_health),
    Tool(top_queries),
)


def _position(registry: Registry, question: str, cursor: str | None) -> tuple[int, str | None]:
    """How many rows to pass over, and the state in which they were counted. It is ours: the cursor is signed."""
    if cursor is None:
        return 0, None
    position = registry.cursors.decode(question, cursor)
    match position:
        case [int(skip), str(state)]:
            return skip, state
        case _:
            raise InvalidInput("The cursor is not one of this tool's. Repeat the call without it.")
