"""The ledger's tables. Times are UTC; money is US dollars, NULL when the price of a model is not known."""

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 1

metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

runs = Table(
    "runs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user", String(200)),
    Column("text", Text, nullable=False),
    Column("status", String(20), nullable=False),
    Column("answer", Text),
    Column("model", String(100)),
    Column("started_at", String(32), nullable=False),
    Column("elapsed_ms", Float),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cost_usd", Float),
    Index("runs_by_time", "started_at"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id"), primary_key=True),
    Column("decision", String(20), nullable=False),
    Column("agents", JSON, nullable=False),
    Column("stage", String(20), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("candidates", JSON, nullable=False),
    Column("question", Text),
    Column("reason", Text, nullable=False),
    Column("elapsed_ms", Float, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", String(40), ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("agent", String(50), nullable=False),
    Column("status", String(20), nullable=False),
    Column("summary", Text, nullable=False),
    Column("tools_shown", JSON, nullable=False),
    Column("elapsed_ms", Float, nullable=False),
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(40), ForeignKey("runs.id"), nullable=False, index=True),
    Column("step", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("rung", Integer, nullable=False),
    Column("model", String(100), nullable=False),
    Column("prompt", String(100), nullable=False),
    Column("variant", String(20), nullable=False),
    Column("outcome", String(30), nullable=False),
    Column("detail", Text, nullable=False),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cache_read_tokens", Integer),
    Column("cache_write_tokens", Integer),
    Column("cost_usd", Float),
    Column("first_token_ms", Float),
    Column("elapsed_ms", Float, nullable=False),
    Column("at", String(32), nullable=False),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(40), ForeignKey("runs.id"), nullable=False, index=True),
    Column("step", Integer, nullable=False),
    Column("agent", String(50), nullable=False),
    Column("server", String(100), nullable=False),
    Column("tool", String(100), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("code", String(20)),
    Column("elapsed_ms", Float, nullable=False),
    Column("at", String(32), nullable=False),
)
