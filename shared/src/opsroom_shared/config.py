"""Reading TOML into typed settings, with errors that name the file, the line, the key, and what was expected."""

import tomllib
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from .outside import clean
from .positions import Location, positions
from .redact import redact

M = TypeVar("M", bound=BaseModel)
Table: TypeAlias = dict[str, object]

_MAX_BYTES = 1_048_576
_MAX_SHOWN = 80


class ConfigError(Exception):
    """A configuration that cannot be used. Its text is one line that says where, and what was expected."""


def load_toml(path: Path) -> Table:
    """The tables of the TOML file at *path*. Raises ConfigError."""
    return _parse(_read(path), path)


def parse_toml(path: Path, model: type[M]) -> M:
    """The file at *path* as *model*. Raises ConfigError."""
    text = _read(path)
    table = _parse(text, path)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise ConfigError(_explain(error, path, text)) from None


def explain(error: ValidationError, path: Path | None) -> str:
    """The first problem of *error* in one line: file, line, key, what was expected, and how many more there are.

    Without *path*, or where the key is not in that file, it names only the key.
    """
    try:
        return _explain(error, path, _read(path) if path else "")
    except ConfigError:  # the file has gone since it was read
        return _explain(error, path, "")


def line_of(text: str, location: Location) -> int | None:
    """The line, counted from 1, of the key or table at *location* in a TOML text; of its nearest parent otherwise."""
    found = positions(text)
    for length in range(len(location), 0, -1):
        if location[:length] in found:
            return found[location[:length]]
    return None


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            raise ConfigError(f"{path}: is a directory; name a TOML file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: is larger than 1 MiB; name a TOML file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None


def _parse(text: str, path: Path) -> Table:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {clean(str(error), _MAX_SHOWN * 2)}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply") from None


def _explain(error: ValidationError, path: Path | None, text: str) -> str:
    problems = error.errors(include_url=False, include_context=False)
    first = problems[0]
    key = clean(".".join(str(part) for part in first["loc"]), _MAX_SHOWN * 2)
    place = key
    if path is not None:
        line = line_of(text, first["loc"])
        # without a line the value came from a flag or the environment, unless it is a key that is missing
        place = f"{path}:{line}: {key}" if line else f"{path}: {key}" if first["type"] == "missing" else key
    more = f"; and {len(problems) - 1} more" if len(problems) > 1 else ""
    return f"{place}: {_expected(first)}{_given(first)}{more}"


def _expected(problem: ErrorDetails) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown key"
    words = problem["msg"].removeprefix("Value error, ")
    return words[:1].lower() + words[1:]


def _given(problem: ErrorDetails) -> str:
    given = cast("object", problem["input"])
    if isinstance(given, (dict, list)) or problem["type"] in ("missing", "extra_forbidden"):
        return ""
    # redacted as `key='value'`, so that the value of a key that is named like a secret is not shown
    name = f"{problem['loc'][-1]}=" if problem["loc"] else ""
    shown = redact(f"{name}{clean(repr(given))}").removeprefix(name)
    return f" (got {clean(shown, _MAX_SHOWN)})"
