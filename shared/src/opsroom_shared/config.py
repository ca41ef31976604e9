"""Reading TOML into typed settings, with errors that name the file, the line, the key, and what was expected."""

import re
import tomllib
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from pydantic import BaseModel, ValidationError

from .redact import redact

M = TypeVar("M", bound=BaseModel)
Table: TypeAlias = dict[str, object]


class ConfigError(Exception):
    """A configuration that cannot be used. Its text is one line that says where, and what was expected."""


def load_toml(path: Path) -> Table:
    """The tables of the TOML file at *path*. Raises ConfigError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; name a TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def parse_toml(path: Path, model: type[M]) -> M:
    """The file at *path* as *model*. Raises ConfigError."""
    table = load_toml(path)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise ConfigError(explain(error, path)) from None


def explain(error: ValidationError, path: Path | None) -> str:
    """The first problem of *error* in one line: file, line, key, what was expected, and how many more there are."""
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"])
    place = key
    if path is not None:
        line = line_of(path.read_text(encoding="utf-8"), first["loc"])
        # without a line the value came from a flag or the environment, unless it is a key that is missing
        place = f"{path}:{line}: {key}" if line else f"{path}: {key}" if first["type"] == "missing" else key
    what = "unknown key" if first["type"] == "extra_forbidden" else _lower_first(first["msg"].removeprefix("Value error, "))
    given = cast("object", first["input"])
    shown = "" if isinstance(given, (dict, list)) or first["type"] == "extra_forbidden" else f" (got {redact(repr(given))})"
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{place}: {what}{shown}{more}"


def line_of(text: str, location: tuple[int | str, ...]) -> int | None:
    """The line, counted from 1, on which the key or table at *location* stands in a TOML text; the nearest parent's otherwise.

    tomllib does not keep positions. Multi-line strings that look like keys can mislead it; it only serves messages.
    """
    table: tuple[int | str, ...] = ()
    arrays: dict[tuple[int | str, ...], int] = {}
    best: tuple[int, int] | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if header := re.match(r"\[\[(.+?)\]\]", line):
            name = _dotted(header[1])
            arrays[name] = arrays.get(name, -1) + 1
            table = here = (*name, arrays[name])
        elif header := re.match(r"\[(.+?)\]", line):
            table = here = _dotted(header[1])
        elif pair := re.match(r"([\w.\"'-]+)\s*=", line):
            here = (*table, *_dotted(pair[1]))
        else:
            continue
        if here == location[: len(here)] and (best is None or len(here) > best[0]):
            best = (len(here), number)
    return best[1] if best else None


def _dotted(name: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
