"""Does an agent see the tools that a task needs? Recall of the subsets that the catalogue picks, over the whole suite's tools."""

from .data import Part, ToolTask, load_baseline, load_table, load_tasks
from .score import Miss, Recall, ToolsReport, regressions, score

__all__ = [
    "Miss",
    "Part",
    "Recall",
    "ToolTask",
    "ToolsReport",
    "load_baseline",
    "load_table",
    "load_tasks",
    "regressions",
    "score",
]
