"""What the tools return: structured for programs, and as a table or a few lines for the reader who pays per token."""

from collections import Counter
from typing import Literal, get_args

from opsroom_shared.tools import Answer
from pydantic import BaseModel, Field
from typing_extensions import override

from .cells import Cell, to_csv

RelationKind = Literal["table", "view", "virtual table", "partitioned table", "materialized view", "foreign table", "function"]
RowsAre = Literal["counted", "estimated"]
Severity = Literal["critical", "warning", "notice"]


class DatabaseStatus(BaseModel):
    """One configured database, and whether it answers."""

    name: str
    dialect: str
    version: str | None = None
    read_only: bool
    reachable: bool
    problem: str | None = None
    account: str | None = Field(default=None, description="What the account could do without this server's guard.")
    tables: int | None = None
    size_bytes: int | None = None
    weaker: str | None = Field(default=None, description="What this server does less well for this engine.")


class DatabaseList(Answer):
    databases: list[DatabaseStatus]

    @override
    def text(self) -> str:
        header = ["name", "dialect", "version", "access", "tables", "bytes", "problem"]
        rows: list[list[Cell]] = [
            [d.name, d.dialect, d.version, "read-only" if d.read_only else "writable", d.tables, d.size_bytes, d.problem]
            for d in self.databases
        ]
        if any(d.account for d in self.databases):
            header.append("account")
            rows = [[*row, d.account] for row, d in zip(rows, self.databases, strict=True)]
        if any(d.weaker for d in self.databases):
            header.append("weaker")
            rows = [[*row, d.weaker] for row, d in zip(rows, self.databases, strict=True)]
        return to_csv(header, rows)


class Match(BaseModel):
    """A table or view that was found."""

    name: str
    kind: RelationKind
    rows: int | None = None
    rows_are: RowsAre | None = None
    size_bytes: int | None = Field(None, description="With indexes.")
    matched: str = Field("", description="Columns and indexes that matched, or all columns where the name did.")


class Matches(Answer):
    database: str
    relations: list[Match]
    truncated: bool = False
    hint: str | None = None

    @override
    def text(self) -> str:
        if not self.relations:
            return self.hint or "Nothing matches."
        # what is the same for all rows is left out; a table listing is the longest answer of most sessions
        header = ["name", "kind", "rows", "rows_are", "bytes"]
        rows: list[list[Cell]] = [[m.name, m.kind, m.rows, m.rows_are, m.size_bytes] for m in self.relations]
        if any(match.matched for match in self.relations):
            header.append("matched")
            rows = [[*row, match.matched] for row, match in zip(rows, self.relations, strict=True)]
        return _with_hint(to_csv(header, rows), self.hint)


class Column(BaseModel):
    name: str
    type: str


class QueryPage(Answer):
    """Rows of a query, or the next page of them."""

    columns: list[Column]
    rows: list[list[Cell]]
    row_count: int
    truncated: bool = False
    next_cursor: str | None = None
    hint: str | None = None
    masked: list[str] = Field(default_factory=list[str], description="Columns that look like secrets, shown as ***.")

    @override
    def text(self) -> str:
        if not self.columns:
            return "The statement returned no columns."
        table = to_csv([column.name for column in self.columns], self.rows)
        if self.masked:
            table += f"\n(masked, because they look like secrets: {', '.join(self.masked)})"
        if not self.truncated:
            return _with_hint(table if self.rows else f"{table}\n(no rows)", self.hint)
        cursor = f" Next page: cursor={self.next_cursor}" if self.next_cursor else ""
        return f"{table}\n(truncated after {self.row_count} rows.{cursor}{' ' + self.hint if self.hint else ''})"


class ColumnDescription(BaseModel):
    name: str
    type: str
    nullable: bool
    default: str | None = None
    primary_key: int | None = Field(None, description="Position in the primary key, from 1.")
    generated: bool = False
    masked: bool = False
    comment: str | None = None


class IndexDescription(BaseModel):
    name: str
    columns: list[str]
    unique: bool = False
    partial: bool = False
    valid: bool = Field(default=True, description="False where it was never finished, so the engine does not use it.")
    method: str | None = Field(default=None, description="What kind of index it is, where not a B-tree.")


class ForeignKey(BaseModel):
    columns: list[str]
    table: str
    to_columns: list[str]
    on_delete: str | None = None


class Reference(BaseModel):
    """A foreign key of another table that points here."""

    table: str
    columns: list[str]
    to_columns: list[str]


class TableDescription(Answer):
    name: str
    kind: RelationKind
    rows: int | None = None
    rows_are: RowsAre | None = None
    size_bytes: int | None = None
    comment: str | None = None
    columns: list[ColumnDescription]
    indexes: list[IndexDescription] = Field(default_factory=list[IndexDescription])
    foreign_keys: list[ForeignKey] = Field(default_factory=list[ForeignKey])
    referenced_by: list[Reference] = Field(default_factory=list[Reference])
    definition: str | None = Field(None, description="The SQL of a view or virtual table.")
    sample: list[list[Cell]] | None = Field(default=None, description="Rows, with the columns in the order above.")

    @override
    def text(self) -> str:
        size = f", {self.rows:,} rows ({self.rows_are})" if self.rows is not None else ""
        size += f", {self.size_bytes:,} bytes" if self.size_bytes is not None else ""
        lines = [f"{self.kind} {self.name}{size}{f': {self.comment}' if self.comment else ''}"]
        header = ["column", "type", "null", "default", "key"]
        rows: list[list[Cell]] = [
            [c.name, c.type, "yes" if c.nullable else "no", c.default, f"pk{c.primary_key}" if c.primary_key else None]
            for c in self.columns
        ]
        if any(c.comment for c in self.columns):
            header.append("comment")
            rows = [[*row, c.comment] for row, c in zip(rows, self.columns, strict=True)]
        lines.append(to_csv(header, rows))
        if secret := [column.name for column in self.columns if column.masked]:
            lines.append(f"masked, because they look like secrets: {', '.join(secret)}")
        for index in self.indexes:
            marks = (" unique" if index.unique else "") + (" partial" if index.partial else "")
            marks += (f" {index.method}" if index.method else "") + ("" if index.valid else " INVALID")
            lines.append(f"index {index.name} ({', '.join(index.columns)}){marks}")
        for key in self.foreign_keys:
            rule = f" on delete {key.on_delete}" if key.on_delete else ""
            lines.append(f"foreign key ({', '.join(key.columns)}) -> {key.table} ({', '.join(key.to_columns)}){rule}")
        lines += [f"referenced by {r.table} ({', '.join(r.columns)})" for r in self.referenced_by]
        if self.definition:
            lines.append(f"definition: {self.definition}")
        if self.sample is not None:
            lines.append("sample:\n" + to_csv([column.name for column in self.columns], self.sample))
        return "\n".join(lines)


class PlanStep(BaseModel):
    depth: int
    operation: str
    note: str | None = None
    costly: bool = False


class IndexAdvice(BaseModel):
    statement: str
    checked: bool = Field(description="Whether the engine chose this index in a trial that left the database alone.")
    effect: str


class Explanation(Answer):
    steps: list[PlanStep]
    advice: list[IndexAdvice] = Field(default_factory=list[IndexAdvice])
    notes: list[str] = Field(default_factory=list[str])
    rows: int | None = Field(default=None, description="Rows that the query returned, with analyze.")
    elapsed_ms: float | None = Field(default=None, description="Time that the query took, with analyze.")

    @override
    def text(self) -> str:
        lines = [
            f"{'  ' * step.depth}{'-> ' if step.depth else ''}{step.operation}"
            f"{f' ({step.note})' if step.note else ''}{'  <-- costly' if step.costly else ''}"
            for step in self.steps
        ]
        if self.elapsed_ms is not None:
            lines.append(
                f"Ran in {self.elapsed_ms:g} ms, {self.rows:,} rows."
                if self.rows is not None
                else f"Ran for {self.elapsed_ms:g} ms."
            )
        lines += [
            f"{'Checked' if advice.checked else 'Worth trying'}: {advice.statement}; {advice.effect}" for advice in self.advice
        ]
        return "\n".join([*lines, *self.notes])


class Finding(BaseModel):
    """Something that is wrong with a database, or soon will be."""

    severity: Severity
    check: str
    subject: str = Field(description="The table, index, session or other thing that it is about.")
    evidence: str
    action: str = Field(description="What to do.")
    statement: str | None = Field(default=None, description="The exact statement that does it, where that is safe to give.")


class Checked(BaseModel):
    check: str
    found: str = Field(default="", description="The figures that were seen.")


class Unchecked(BaseModel):
    check: str
    reason: str


class DatabaseHealth(Answer):
    database: str
    findings: list[Finding] = Field(description="The most severe first.")
    checked: list[Checked]
    unchecked: list[Unchecked] = Field(description="What could not be checked, whole or in part.")
    truncated: bool = False
    hint: str | None = None

    @override
    def text(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        listed = ", ".join(f"{counts[severity]} {severity}" for severity in get_args(Severity) if counts[severity])
        lines = [f"{self.database}: {listed or ('nothing was found' if self.checked else 'nothing could be checked')}."]
        lines += [
            f"{f.severity} [{f.check}] {f.subject}: {f.evidence}. {f.action}{f': {f.statement}' if f.statement else '.'}"
            for f in self.findings
        ]
        figures = "; ".join(f"{each.check}{f' ({each.found})' if each.found else ''}" for each in self.checked)
        lines += [f"Checked: {figures}."] if figures else []
        by_reason: dict[str, list[str]] = {}
        for each in self.unchecked:
            by_reason.setdefault(each.reason, []).append(each.check)
        lines += [f"Not checked: {', '.join(checks)}: {reason}" for reason, checks in by_reason.items()]
        return _with_hint("\n".join(lines), self.hint)


class TopQuery(BaseModel):
    """Executions of one query, whatever its values."""

    query: str
    calls: int
    total_ms: float
    mean_ms: float
    share: float = Field(description="Of the time of all queries, in percent.")
    rows: int = Field(description="Returned or changed, in all calls.")
    io: int = Field(description="In the unit of io_is, in all calls.")
    note: str | None = None


class TopQueries(Answer):
    database: str
    since: str | None = Field(default=None, description="When the engine began to count.")
    io_is: str
    queries: list[TopQuery]
    hint: str | None = None

    @override
    def text(self) -> str:
        since = f"Counted since {self.since}. " if self.since else ""
        if not self.queries:
            return _with_hint(f"{since}No query was counted yet.", self.hint)
        header = ["calls", "total_ms", "mean_ms", "share_%", "rows", self.io_is, "query"]
        rows: list[list[Cell]] = [
            [q.calls, q.total_ms, q.mean_ms, q.share, q.rows, q.io, q.query + (f" ({q.note})" if q.note else "")]
            for q in self.queries
        ]
        return _with_hint(f"{since}Values stand as ?.\n{to_csv(header, rows)}", self.hint)


WriteKind = Literal["insert", "update", "delete", "definition"]


class WritePreview(BaseModel):
    """A few of the rows that a statement changes."""

    columns: list[Column] = Field(default_factory=list[Column])
    before: list[list[Cell]] = Field(default_factory=list[list[Cell]])
    after: list[list[Cell]] = Field(default_factory=list[list[Cell]])
    masked: list[str] = Field(default_factory=list[str], description="Columns that look like secrets, shown as ***.")

    def text(self) -> str:
        names = [column.name for column in self.columns]
        parts = [f"{when}:\n{to_csv(names, rows)}" for when, rows in (("before", self.before), ("after", self.after)) if rows]
        return "\n".join(parts)


class WriteResult(Answer):
    """What a statement changed, or would change."""

    database: str
    applied: bool
    rows_affected: int
    also_changed: int = Field(0, description="Rows that triggers and foreign keys change besides.")
    digest: str = Field(description="Of the statement, the database and the counts: what a person approved.")
    preview: WritePreview
    hint: str | None = None

    @override
    def text(self) -> str:
        also = f", {self.also_changed:,} more by triggers and foreign keys" if self.also_changed else ""
        lines = [f"{'Applied' if self.applied else 'Not applied'}: {self.rows_affected:,} rows{also}.", self.preview.text()]
        return _with_hint("\n".join(filter(None, lines)), self.hint)


def _with_hint(text: str, hint: str | None) -> str:
    return f"{text}\n({hint})" if hint else text
