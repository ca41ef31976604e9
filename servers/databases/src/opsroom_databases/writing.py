"""The tool that changes a database: tried first, then approved by a person, then applied to the letter."""

import asyncio
import hashlib
import json
from collections.abc import Coroutine
from typing import Annotated

from fastmcp import Context
from fastmcp.dependencies import CurrentContext, Depends
from mcp.types import InputRequiredResult
from opsroom_shared.approval import Approvals, Question, check_can_ask, check_said_yes, is_answer, is_modern, question
from opsroom_shared.errors import Conflict, ToolFailure
from opsroom_shared.outside import clean
from opsroom_shared.progress import with_progress
from opsroom_shared.tools import Tool, lifespan_value
from pydantic import Field

from .models import WritePreview, WriteResult
from .providers import Effect, Uncertain
from .registry import Registry
from .tools import MAX_SQL, DatabaseName, the_registry
from .write_journal import Applied, Entry, WriteJournal

_SHOWN_SQL = 4_000
_SHOWN_ROWS = 2_000
_WITHOUT_ASKING = (
    "A person approves by calling it in a client that can ask (with elicitation), or runs the statement by other means; "
    "dry_run=true shows what it would change."
)


def _approvals(context: Context = CurrentContext()) -> Approvals:
    return lifespan_value(context, Approvals)


async def run_write(
    sql: Annotated[
        str, Field(description="One INSERT, UPDATE or DELETE; DDL only where allowed.", min_length=1, max_length=MAX_SQL)
    ],
    database: DatabaseName = None,
    *,
    dry_run: Annotated[bool, Field(description="Only show what it would change.")] = False,
    idempotency_key: Annotated[
        str | None, Field(description="A call with the same key is applied once at most.", min_length=1, max_length=200)
    ] = None,
    registry: Registry = Depends(the_registry),
    approvals: Approvals = Depends(_approvals),
    context: Context = CurrentContext(),
) -> WriteResult | InputRequiredResult:
    """Change a writable database with one statement.

    It is tried and taken back first; a person is then asked to approve the statement and its row count, and it is applied only
    if that count still holds.
    """
    opened, definitions = registry.writable(database)
    journal = WriteJournal(registry.settings.state_folder / "writes")
    if (
        idempotency_key
        and not dry_run
        and (done := await asyncio.to_thread(journal.entry(opened.name, idempotency_key, sql).find))
    ):
        return _repeated(opened.name, done)
    subject = json.dumps([opened.name, sql, idempotency_key])
    if not dry_run:
        check_can_ask(context, _WITHOUT_ASKING)
    if not dry_run and is_answer(context):
        plan = approvals.answered(context.request_state, subject)
        if not isinstance(plan, Effect):
            raise Conflict("The approval is not for this call. Call again to be asked anew.")
    else:
        plan = await with_progress(opened.write(sql, definitions=definitions, approved=None), context, "trying the change")
        if dry_run or (plan.kind != "definition" and plan.counts == (0, 0)):
            hint = "This was a dry run." if dry_run else "It would change nothing, so nobody was asked."
            return _result(opened.name, sql, plan, applied=False, hint=hint)
        if is_modern(context):
            return question(_question(opened.name, sql, plan), approvals.asked(subject, plan))
    await check_said_yes(context, _question(opened.name, sql, plan))
    work = opened.write(sql, definitions=definitions, approved=plan.counts)
    applying = with_progress(work, context, "applying the change")
    if not idempotency_key:
        return _result(opened.name, sql, await applying, applied=True)
    return await _once(applying, journal.entry(opened.name, idempotency_key, sql))


WRITE_TOOLS = (Tool(run_write, read_only=False, destructive=True, idempotent=False),)


async def _once(applying: Coroutine[None, None, Effect], entry: Entry) -> WriteResult:
    """Applies a change whose key nobody has used, and remembers what came of it."""
    try:
        await asyncio.to_thread(entry.claim)
    except BaseException:
        applying.close()
        raise
    try:
        effect = await applying
    except ToolFailure as failure:
        if not isinstance(failure, Uncertain):
            await asyncio.to_thread(entry.release)
        raise
    result = _result(entry.database, entry.statement, effect, applied=True)
    await asyncio.to_thread(entry.finish, Applied(effect.rows, effect.also, result.digest))
    return result


def digest(database: str, sql: str, counts: tuple[int, int]) -> str:
    """What an approval is bound to."""
    return hashlib.sha256(json.dumps([database, sql, counts]).encode()).hexdigest()[:32]


def _result(database: str, sql: str, effect: Effect, *, applied: bool, hint: str | None = None) -> WriteResult:
    return WriteResult(
        database=database,
        applied=applied,
        rows_affected=effect.rows,
        also_changed=effect.also,
        digest=digest(database, sql, effect.counts),
        preview=effect.preview,
        hint=hint,
    )


def _repeated(database: str, done: Applied) -> WriteResult:
    return WriteResult(
        database=database,
        applied=True,
        rows_affected=done.rows,
        also_changed=done.also,
        digest=done.digest,
        preview=WritePreview(),
        hint="It was applied by an earlier call with this idempotency_key; nothing was done now.",
    )


def _question(database: str, sql: str, effect: Effect) -> Question:
    counts = f"{effect.rows:,} rows" + (f", and {effect.also:,} more by triggers and foreign keys" if effect.also else "")
    what = "changes the schema" if effect.kind == "definition" else f"{effect.kind}s {counts}"
    warning = "\nIt has no condition on a column: it changes EVERY row of the table." if effect.every_row else ""
    rows = clean(effect.preview.text(), _SHOWN_ROWS)
    message = (
        f"Apply this to the database {database}? It {what}.{warning}\n\n{clean(sql, _SHOWN_SQL)}\n\n"
        f"{f'Some of the rows (data, not instructions):{chr(10)}{rows}{chr(10)}' if rows else ''}"
        f"digest {digest(database, sql, effect.counts)}"
    )
    confirms = {"apply": "Apply this change"}
    if effect.every_row:
        confirms["every_row"] = "Yes, change every row of the table"
    return Question(message, confirms)
