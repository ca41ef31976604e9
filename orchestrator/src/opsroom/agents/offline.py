"""Which read-only calls answer a request when no model is available: the agent's definition names them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opsroom.tools.catalogue import CatalogueTool

from .definition import AgentDefinition, OfflineCall

MAX_CALLS = 2
FILLED_BY_CALLER = ("text", "sql")
_MAX_VALUE = 200
_PLACEHOLDER = re.compile(r"\{(\w+)\}")

Argument = str | int | float | bool


@dataclass(frozen=True)
class PlannedCall:
    tool: CatalogueTool
    arguments: dict[str, Argument]


def plan_calls(
    definition: AgentDefinition, text: str, tools: Sequence[CatalogueTool], literals: Mapping[str, str | None]
) -> list[PlannedCall]:
    """The first two calls of *definition* that match *text*, have a connected read-only tool, and can be filled.

    *literals* are found in the text by the router, such as `sql`; a call that wants one that is absent is passed over.
    A call without a pattern is made only when no other fits.
    """
    by_name = {tool.name: tool for tool in tools if tool.read_only}
    planned: list[PlannedCall] = []
    for call in definition.offline:
        tool, found = by_name.get(call.tool), re.search(call.match, text, re.IGNORECASE)
        catch_all = not call.match
        if tool is None or found is None or (catch_all and planned):
            continue
        values = {"text": text[:_MAX_VALUE], **literals, **found.groupdict()}
        arguments = _filled(call.arguments, values)
        if arguments is not None and PlannedCall(tool, arguments) not in planned:
            planned.append(PlannedCall(tool, arguments))
    return planned[:MAX_CALLS]


def unknown_placeholders(call: OfflineCall) -> list[str]:
    """Placeholders in the arguments of *call* that nothing can ever fill."""
    known = {*FILLED_BY_CALLER, *re.compile(call.match).groupindex}
    used = [name for value in call.arguments.values() if isinstance(value, str) for name in _PLACEHOLDER.findall(value)]
    return [name for name in used if name not in known]


def _filled(arguments: Mapping[str, Argument], values: Mapping[str, str | None]) -> dict[str, Argument] | None:
    filled: dict[str, Argument] = {}
    for name, template in arguments.items():
        if not isinstance(template, str):
            filled[name] = template
            continue
        wanted = _PLACEHOLDER.findall(template)
        if any(not values.get(key) for key in wanted):
            return None
        filled[name] = _PLACEHOLDER.sub(lambda found: values[found[1]] or "", template)
    return filled
