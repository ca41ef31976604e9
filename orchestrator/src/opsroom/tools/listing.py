"""What a server lists as its tools: bounded, checked, and fingerprinted so that a change does not go unseen."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from opsroom_shared.outside import clean
from pydantic import JsonValue

from .catalogue import CatalogueTool
from .outcome import clean_json
from .schema import arguments_fault

if TYPE_CHECKING:
    from mcp.types import Tool

MAX_TOOLS = 200
MAX_DESCRIPTION = 4_000
MAX_SCHEMA = 50_000
MAX_PROBLEMS = 20

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")


@dataclass(frozen=True)
class ToolChange:
    """A difference between two listings of one server; `changed` means the same name with another description or schema."""

    kind: Literal["added", "removed", "changed"]
    tool: str


@dataclass(frozen=True)
class Listing:
    """The usable tools of a server, a fingerprint of each, and what was left out and why."""

    tools: tuple[CatalogueTool, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])
    problems: tuple[str, ...] = ()

    def find(self, name: str) -> CatalogueTool | None:
        return next((tool for tool in self.tools if tool.name == name), None)


def read_listing(server: str, listed: Sequence["Tool"], malformed: Sequence[str] = ()) -> Listing:
    """*listed* as a Listing. One bad tool is left out and named; it never takes the others with it."""
    tools: dict[str, CatalogueTool] = {}
    fingerprints: dict[str, str] = {}
    problems = list(malformed)
    for tool in listed:
        name = clean(tool.name, 60)
        schema = cast("dict[str, JsonValue]", tool.input_schema)
        if not _NAME.fullmatch(tool.name):
            problems.append(f"{name!r} is not a tool name")
        elif tool.name in tools:
            problems.append(f"{name} is listed twice; the first counts")
        elif len(tools) >= MAX_TOOLS:
            problems.append(f"{len(listed)} tools are listed; only the first {MAX_TOOLS} are used")
            break
        elif fault := _schema_fault(schema):
            problems.append(f"{name} has a broken input schema: {fault}")
        else:
            tools[tool.name] = _catalogue_tool(server, tool, schema)
            fingerprints[tool.name] = _fingerprint(tool)
    more = len(problems) - MAX_PROBLEMS
    shown = (*problems[:MAX_PROBLEMS], f"and {more} more") if more > 0 else tuple(problems)
    return Listing(tuple(tools.values()), fingerprints, shown)


def compare(old: Listing, new: Listing) -> tuple[ToolChange, ...]:
    """What differs between two listings, by tool name."""
    before, after = old.fingerprints, new.fingerprints
    return (
        *(ToolChange("added", name) for name in sorted(after.keys() - before.keys())),
        *(ToolChange("removed", name) for name in sorted(before.keys() - after.keys())),
        *(ToolChange("changed", name) for name in sorted(after.keys() & before.keys()) if after[name] != before[name]),
    )


def _schema_fault(schema: JsonValue) -> str | None:
    if len(json.dumps(schema)) > MAX_SCHEMA:
        return f"it is larger than {MAX_SCHEMA} characters"
    fault = arguments_fault(schema)
    return clean(fault, 200) if fault else None


def _catalogue_tool(server: str, tool: "Tool", schema: JsonValue) -> CatalogueTool:
    hints = tool.annotations
    # what a server leaves out is taken for the worst, as MCP defines it: it writes, it destroys, it must not be repeated
    read_only = hints is not None and hints.read_only_hint is True
    return CatalogueTool(
        name=tool.name,
        server=server,
        description=clean(tool.description or "", MAX_DESCRIPTION),
        input_schema=cast("dict[str, object]", clean_json(schema)),
        read_only=read_only,
        destructive=not read_only and not (hints is not None and hints.destructive_hint is False),
        idempotent=read_only or (hints is not None and hints.idempotent_hint is True),
    )


def _fingerprint(tool: "Tool") -> str:
    described = tool.model_dump(
        mode="json", by_alias=True, include={"name", "description", "input_schema", "output_schema", "annotations"}
    )
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
