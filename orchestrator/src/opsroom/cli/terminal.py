"""How commands print: rich on a terminal, plain text in a pipe, JSON where asked. Nothing printed is read as markup."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    from pydantic import BaseModel, JsonValue
    from rich.console import Console

Cells: TypeAlias = Sequence[str]

_PIPE_WIDTH = 200
_MAX_CELL = 80
_MAX_ROWS = 30


def console(*, stderr: bool = False) -> "Console":
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    # a pipe has no width: wide enough that a table is not folded to 80 columns
    return Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH, highlight=False, markup=False, emoji=False)


def print_json(value: "BaseModel | JsonValue | Sequence[BaseModel]") -> None:
    """*value* as one JSON document on stdout."""
    import json

    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        text = value.model_dump_json(indent=2)
    elif isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, BaseModel) for item in value):
        text = json.dumps([cast("BaseModel", item).model_dump(mode="json") for item in value], indent=2)
    else:
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")


def print_table(columns: Cells, rows: Iterable[Cells]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else box.SIMPLE, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def print_text(text: str, *, style: str | None = None) -> None:
    from rich.text import Text

    console().print(Text(text, style=style or ""), soft_wrap=True)


def print_markdown(text: str) -> None:
    """*text* as rendered Markdown on a terminal, as it is in a pipe. Links are shown, not made clickable."""
    out = console()
    if out.is_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(text, hyperlinks=False))
    else:
        out.out(text)


def rows_of(structured: "Mapping[str, JsonValue] | None") -> tuple[list[str], list[list[str]]] | None:
    """The table in a tool's structured result: `columns` and `rows`, else its only list of flat objects; None otherwise."""
    if structured is None:
        return None
    columns, rows = structured.get("columns"), structured.get("rows")
    if isinstance(columns, list) and isinstance(rows, list):
        names = [str(column.get("name", "")) if isinstance(column, dict) else str(column) for column in columns]
        return names, [[_cell(value) for value in row] for row in rows[:_MAX_ROWS] if isinstance(row, list)]
    lists = [value for value in structured.values() if isinstance(value, list) and value]
    items = [item for item in lists[0] if isinstance(item, dict)] if len(lists) == 1 else []
    if not items or len(items) != len(lists[0]) or not all(_is_flat(value) for item in items for value in item.values()):
        return None
    shown = [key for key in items[0] if any(item.get(key) not in (None, "", []) for item in items)]
    return shown, [[_cell(item.get(key)) for key in shown] for item in items[:_MAX_ROWS]]


def _is_flat(value: "JsonValue") -> bool:
    """Whether *value* fits a cell: what has parts or lines of its own reads better as the tool puts it."""
    if isinstance(value, list):
        return not any(isinstance(part, (dict, list)) for part in value)
    return not isinstance(value, dict) and not (isinstance(value, str) and "\n" in value)


def _cell(value: "JsonValue") -> str:
    if value is None:
        return "–"
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"
