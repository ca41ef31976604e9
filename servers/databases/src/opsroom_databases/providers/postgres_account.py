"""What the account of a PostgreSQL database may do, and the SQL that makes one which may only read."""

import json
from typing import cast

from .postgres_session import Session, plain

READER = "opsroom_reader"

_RIGHTS = """
    SELECT r.rolsuper,
      EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p')
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')),
      has_database_privilege(current_database(), 'CREATE') OR EXISTS (
        SELECT FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'CREATE')),
      pg_has_role('pg_read_server_files', 'MEMBER'), pg_has_role('pg_write_server_files', 'MEMBER'),
      pg_has_role('pg_execute_server_program', 'MEMBER'), pg_has_role('pg_signal_backend', 'MEMBER'),
      r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls
    FROM pg_roles r WHERE r.rolname = current_user"""
_COULD = (
    "write tables",
    "create objects",
    "read files",
    "write files",
    "run programs",
    "end sessions",
    "make roles",
    "make databases",
    "replicate",
    "bypass row security",
)
_SCHEMAS = """
    SELECT n.nspname::text, pg_get_userbyid(n.nspowner)::text,
      (SELECT json_agg(DISTINCT pg_get_userbyid(c.relowner))::text FROM pg_class c
        WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm'))
    FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY n.nspname"""


async def rights(session: Session) -> str:
    """In one line, what the account could do if this server let it."""
    ((superuser, *could),) = await session.fetch(_RIGHTS)
    if superuser:
        return "superuser: it could do anything; role-sql prints a role that could not"
    named = [word for word, may in zip(_COULD, could, strict=True) if may]
    return f"could {', '.join(named)}; role-sql prints a role that could not" if named else "can only read"


async def reader_sql(session: Session, database: str, seconds: float) -> str:
    """The statements that make a role which may read every schema that there is, and what is put there later."""
    schemas = await session.fetch(_SCHEMAS)
    target = plain(database)
    lines = [
        f"-- Run this in {target} as a superuser; then give the role a password with: \\password {READER}",
        f"CREATE ROLE {READER} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;",
        f"ALTER ROLE {READER} IN DATABASE {target} SET default_transaction_read_only = on;",
        f"ALTER ROLE {READER} IN DATABASE {target} SET statement_timeout = '{seconds:g}s';",
        f"GRANT CONNECT ON DATABASE {target} TO {READER};",
        f"REVOKE CREATE, TEMPORARY ON DATABASE {target} FROM {READER};",
    ]
    for schema, owner, owners in schemas:
        named = plain(str(schema))
        lines += [
            f"GRANT USAGE ON SCHEMA {named} TO {READER};",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {named} TO {READER};",
            f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA {named} TO {READER};",
        ]
        makers = sorted({str(owner), *_names(owners)} - {"pg_database_owner"})
        later = f"IN SCHEMA {named} GRANT SELECT ON TABLES TO {READER};"
        lines += [f"ALTER DEFAULT PRIVILEGES FOR ROLE {plain(maker)} {later}" for maker in makers]
    lines += [
        f"-- PUBLIC may make temporary tables, before version 15 also tables in public, and {READER} with it. To end that:",
        f"REVOKE TEMPORARY ON DATABASE {target} FROM PUBLIC;",
        *(["REVOKE CREATE ON SCHEMA public FROM PUBLIC;"] if any(schema == "public" for schema, _, _ in schemas) else ()),
        "-- For sizes of other people's queries and statistics, which a monitoring role may see:",
        f"-- GRANT pg_read_all_stats TO {READER};",
    ]
    return "\n".join(lines)


def _names(raw: object) -> list[str]:
    return cast("list[str]", json.loads(str(raw or "[]")))
