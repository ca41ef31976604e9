"""What is used of asyncpg, and the one way in which it is made to do with types that it does not know."""

from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from typing import Protocol, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it brings none

_TYPE_NAMES = """
    SELECT t.oid::int8, coalesce(e.typname || '[]', t.typname)::text
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE t.oid = ANY ($1::oid[])"""


class Row(Protocol):
    """A row of a result, by position."""

    def __getitem__(self, index: int, /) -> object: ...

    def __iter__(self) -> Iterator[object]: ...

    def keys(self) -> Iterable[str]: ...


class _Type(Protocol):
    oid: int
    name: str


class Attribute(Protocol):
    """A column of a prepared statement."""

    name: str
    type: _Type


class Prepared(Protocol):
    def get_attributes(self) -> Sequence[Attribute]: ...

    async def fetch(self, *args: object) -> list[Row]: ...

    def cursor(self, *, prefetch: int) -> AsyncIterable[Row]: ...


class _Version(Protocol):
    major: int


class Connection(Protocol):
    async def execute(self, query: str) -> str: ...

    async def fetch(self, query: str, *args: object) -> list[Row]: ...

    async def prepare(self, query: str, *, name: str) -> Prepared: ...

    async def copied(self, statements: str) -> bytes: ...

    async def close(self, *, timeout: float) -> None: ...  # noqa: ASYNC109 - asyncpg's signature

    def terminate(self) -> None: ...

    def is_closed(self) -> bool: ...

    def get_server_version(self) -> _Version: ...


class _Codecs(Protocol):
    def add_python_codec(  # noqa: PLR0917 - asyncpg's signature
        self, oid: int, name: str, schema: str, infos: list[object], kind: str, encoder: object, decoder: object, form: str, /
    ) -> None: ...


class _Wire(Protocol):
    def get_settings(self) -> _Codecs: ...


class NamingConnection(asyncpg.Connection):
    """Takes types that the driver does not know for text, and gives rows as the engine copies them out.

    Neither has a public way, so the driver's version is pinned.
    """

    name = ""
    """Stands for a statement that asked for types: one without a name, after which the caller's has to be sent again."""

    async def copied(self, statements: str) -> bytes:
        """What the one `COPY … TO STDOUT` among *statements* gives; all of them are one exchange with the engine.

        The driver has copy_from_query for the same with the COPY alone, and needs two exchanges for any other query.
        """
        parts: list[bytes] = []

        async def take(part: bytes) -> None:
            parts.append(part)

        await self._copy_out(statements, take, None)  # pyright: ignore[reportUnknownMemberType] - no stubs
        return b"".join(parts)

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> tuple[list[object], "NamingConnection"]:  # noqa: ARG002, ASYNC109 - asyncpg's signature
        # it would read such types from the catalog with all of their parts, and refuses the columns of some, such as those of
        # pg_stats; here only their names matter, and their number stands for those
        codecs = cast("_Wire", self._protocol).get_settings()  # pyright: ignore[reportUnknownMemberType] - no stubs
        for oid in typeoids:
            codecs.add_python_codec(oid, str(oid), "pg_catalog", [], "scalar", str, str, "text")
        return [], self


async def type_names(connection: Connection, columns: Sequence[Attribute]) -> list[str]:
    """What the types of *columns* are called, where the driver knows only their numbers too."""
    unknown = sorted({column.type.oid for column in columns if column.type.name.isdecimal()})
    found: dict[object, str] = {}
    if unknown:
        found = {oid: str(name) for oid, name in await connection.fetch(_TYPE_NAMES, unknown)}
    return [found.get(column.type.oid, column.type.name) for column in columns]
