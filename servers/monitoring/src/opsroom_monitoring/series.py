"""Time series as data: what sources give, and what summaries, pictures and change detection are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

Labels: TypeAlias = Mapping[str, str]
"""Without `__name__`, unless the name is all there is."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a window. A gap is an absent point; values may be NaN or infinite."""

    labels: Labels
    times: tuple[float, ...]
    """Unix seconds, rising. They need not be multiples of a step, nor those of another series."""
    values: tuple[float, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One value at one time."""

    labels: Labels
    at: float
    value: float
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From *start* to *end*, both in UTC."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return (self.end - self.start).total_seconds()
