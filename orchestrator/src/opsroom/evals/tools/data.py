"""The suite's tools as their servers describe them, the tasks with the tools each needs, and the committed baseline."""

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ...tools.catalogue import CatalogueTool

FOLDER = Path(__file__).parent

Part: TypeAlias = Literal["tasks", "held_out"]
"""`held_out` was written after the catalogue's words and pins, and nothing was tuned on it."""


class ToolTask(BaseModel):
    """A request as a person writes it, the agent that has it, and the tools without which it cannot be done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: str
    text: str = Field(min_length=1)
    tools: tuple[str, ...] = Field(min_length=1, max_length=5)


Recalls: TypeAlias = dict[str, dict[str, float]]
"""Setting → agent, or `all` → recall."""


def load_baseline(part: Part = "tasks") -> Recalls:
    """The recall that later work must not fall under: what `ToolsReport.to_json` gave when it was committed."""
    return TypeAdapter(dict[Part, Recalls]).validate_json((FOLDER / "baseline.json").read_bytes())[part]


def load_table() -> tuple[CatalogueTool, ...]:
    lines = (FOLDER / "table.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(TypeAdapter(CatalogueTool).validate_json(line) for line in lines)


def load_tasks(part: Part = "tasks") -> tuple[ToolTask, ...]:
    lines = (FOLDER / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(ToolTask.model_validate_json(line) for line in lines)
