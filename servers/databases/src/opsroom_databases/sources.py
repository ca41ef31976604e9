"""Where a database is: reads `sqlite:////path` and plain paths, and says early what is wrong with them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

SUPPORTED = ("sqlite",)
_HEADER = b"SQLite format 3\0"


class Source(Protocol):
    """Where the rows come from. A file can be made or replaced between two calls, so each call asks again."""

    @property
    def dialect(self) -> str: ...

    async def path(self) -> Path: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class FileSource:
    """A database file that somebody else owns."""

    file: Path
    dialect: str = "sqlite"

    async def path(self) -> Path:
        return self.file

    async def aclose(self) -> None:
        """Nothing to let go of."""


def parse_url(url: str) -> FileSource:
    """The source that *url* names. Raises ValueError with what was expected."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "sqlite", f"/{url}"
    dialect = scheme.split("+")[0].lower()
    if dialect not in SUPPORTED:
        raise ValueError(f"unknown dialect {dialect!r}; supported: {', '.join(SUPPORTED)}")
    if not rest.startswith("/"):
        raise ValueError("expected sqlite:////absolute/path or sqlite:///relative/path")
    path = rest[1:]
    if separator:
        path, question, _ = path.partition("?")
        if question:
            raise ValueError("options after ? are not supported: the file is always opened read-only")
        path = unquote(path)
    if path in ("", ":memory:"):
        raise ValueError("names no file; expected sqlite:////absolute/path to a database file")
    return FileSource(Path(path).expanduser().absolute())


def file_problem(file: Path) -> str | None:
    """What makes *file* no SQLite database, in words that say what to do; None when nothing does."""
    if not file.exists():
        return f"{file}: no such file; check the path, or create the database first"
    if not file.is_file():
        return f"{file}: is not a file; name the database file itself"
    try:
        with file.open("rb") as opened:
            header = opened.read(len(_HEADER))
    except OSError as error:
        return f"{file}: cannot be read ({error.strerror}); give this user permission to read it"
    if header and header != _HEADER:
        return f"{file}: is not an SQLite database; name a file that SQLite made"
    return None
