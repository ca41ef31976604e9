"""The tables of the state: definitions, plans, deployments with their journal, and the audit. Times are UTC.

What runs is never read from here: the host says that.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from typing_extensions import override

SCHEMA_VERSION = 1

metadata = MetaData()


class Utc(TypeDecorator[datetime]):
    """A time in UTC. SQLite forgets the zone, and PostgreSQL answers in that of the session."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


schema_version = Table("deployments_schema_version", metadata, Column("version", Integer, primary_key=True))

definitions = Table(
    "definitions",
    metadata,
    Column("service", String(40), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSON, nullable=False),
    Column("at", Utc(), nullable=False),
    Column("by", String(200), nullable=False),
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", String(40), primary_key=True),
    Column("service", String(40), nullable=False),
    Column("environment", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("plan", JSON, nullable=False),
    Column("order", JSON, nullable=False),
    Column("expires_at", Utc(), nullable=False),
    Column("approved_by", String(200)),
    Column("approved_at", Utc()),
    Column("deployment_id", String(40)),
)

deployments = Table(
    "deployments",
    metadata,
    Column("deployment_id", String(40), primary_key=True),
    Column("plan_id", String(40), ForeignKey("plans.plan_id"), nullable=False),
    Column("service", String(40), nullable=False),
    Column("environment", String(40), nullable=False),
    Column("action", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("before", String(80)),
    Column("after", String(80)),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", Utc(), nullable=False),
    Column("ended_at", Utc()),
    Column("failure", JSON),
    Column("abort", Boolean, nullable=False, default=False),
    Column("owner", String(200), nullable=False),
    Column("alive_at", Utc(), nullable=False),
    Index("deployments_by_time", "started_at"),
)

journal = Table(
    "journal",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("deployment_id", String(40), ForeignKey("deployments.deployment_id"), nullable=False, index=True),
    Column("at", Utc(), nullable=False),
    Column("stage", String(20), nullable=False),
    Column("text", Text, nullable=False),
)

release_names = Table(
    "release_names",
    metadata,
    Column("service", String(40), nullable=False),
    Column("environment", String(40), nullable=False),
    Column("release", String(80), nullable=False),
    UniqueConstraint("service", "environment", "release"),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("at", Utc(), nullable=False),
    Column("what", String(40), nullable=False),
    Column("target", String(100), nullable=False),
    Column("who", String(200), nullable=False),
    Column("client", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("detail", JSON, nullable=False),
)
