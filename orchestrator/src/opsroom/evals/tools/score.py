"""Recall of tool subsets: per agent and overall, with and without pins, among an agent's own tools and the whole suite's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Final

from ...agents.definition import AgentDefinition
from ...tools.catalogue import CatalogueTool, subset
from .data import Recalls, ToolTask

OWN: Final = "own tools"
OWN_NO_PINS: Final = "own tools, no pins"
ALL: Final = "whole suite"
ALL_NO_PINS: Final = "whole suite, no pins"
SETTINGS: Final = (OWN, OWN_NO_PINS, ALL, ALL_NO_PINS)
OVERALL: Final = "all"


@dataclass(frozen=True)
class Miss:
    """A task whose subset lacked a tool that it needs."""

    setting: str
    agent: str
    text: str
    missing: tuple[str, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Recall:
    """`recall`: the mean share of a task's tools that its subset has. `complete`: the share of tasks that lack none."""

    setting: str
    agent: str
    tasks: int
    recall: float
    complete: float


@dataclass(frozen=True)
class ToolsReport:
    recalls: tuple[Recall, ...]
    misses: tuple[Miss, ...]
    shown: float
    """Mean number of tools shown, with pins among an agent's own."""

    def recall(self, setting: str = OWN, agent: str = OVERALL) -> float:
        return next(row.recall for row in self.recalls if (row.setting, row.agent) == (setting, agent))

    def to_json(self) -> dict[str, object]:
        return {
            "recall": {
                setting: {row.agent: row.recall for row in self.recalls if row.setting == setting} for setting in SETTINGS
            },
            "complete": {
                setting: {row.agent: row.complete for row in self.recalls if row.setting == setting} for setting in SETTINGS
            },
            "tasks": {row.agent: row.tasks for row in self.recalls if row.setting == OWN},
            "tools_shown": self.shown,
            "misses": [asdict(miss) for miss in self.misses],
        }

    def rows(self) -> tuple[tuple[str, ...], ...]:
        """A table: its heading, then one line per agent and one for all."""
        agents = [row for row in self.recalls if row.setting == OWN]
        lines = [
            (
                row.agent,
                str(row.tasks),
                *(f"{self.recall(setting, row.agent):.1%}" for setting in SETTINGS),
                f"{row.complete:.1%}",
            )
            for row in agents
        ]
        return (("agent", "tasks", *SETTINGS, "complete"), *lines)


def score(agents: Mapping[str, AgentDefinition], table: Sequence[CatalogueTool], tasks: Iterable[ToolTask]) -> ToolsReport:
    """What *agents* would see for each of *tasks*. A server of *table* has its name as its capability."""
    shares: dict[tuple[str, str], list[float]] = {}
    misses: list[Miss] = []
    counts: list[int] = []
    for task in tasks:
        for setting in SETTINGS:
            shown = _shown(agents[task.agent], table, task, setting)
            missing = tuple(name for name in task.tools if name not in shown)
            share = 1 - len(missing) / len(task.tools)
            for agent in (task.agent, OVERALL):
                shares.setdefault((setting, agent), []).append(share)
            if missing:
                misses.append(Miss(setting, task.agent, task.text, missing, shown))
            if setting == OWN:
                counts.append(len(shown))
    return ToolsReport(
        recalls=tuple(
            Recall(setting, agent, len(values), round(fmean(values), 4), round(fmean(value == 1 for value in values), 4))
            for (setting, agent), values in sorted(shares.items(), key=lambda item: (item[0][1] == OVERALL, item[0]))
        ),
        misses=tuple(misses),
        shown=round(fmean(counts), 2) if counts else 0.0,
    )


def regressions(report: ToolsReport, baseline: Recalls) -> tuple[str, ...]:
    """Where *report* falls under *baseline*, in words."""
    found: list[str] = []
    for setting, agents in baseline.items():
        for agent, before in agents.items():
            now = report.recall(setting, agent)
            if now < before:
                found.append(f"{setting}, {agent}: recall {now:.4f}, was {before:.4f}")
    return tuple(found)


def _shown(agent: AgentDefinition, table: Sequence[CatalogueTool], task: ToolTask, setting: str) -> tuple[str, ...]:
    seen = agent.model_copy(update={"pins": ()}) if setting in {OWN_NO_PINS, ALL_NO_PINS} else agent
    tools = [tool for tool in table if tool.server in agent.capabilities] if setting in {OWN, OWN_NO_PINS} else table
    return tuple(tool.name for tool in subset(seen, task.text, tools).tools)
