"""What a run has come to, in lines; and what of it is not as it must be."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from .mix import Run

TIMES_DRIVER, TIMES_FLOOR = 3.0, 1.5
_EARLY_SECONDS = 5.0
_MOST_GROWTH = 1.1
_MOST_GROWTH_MIB = 8.0
_WIDTH = 40


@dataclass
class Report:
    """Collects what must not be."""

    missed: list[str] = field(default_factory=list[str])

    def must(self, fine: bool, otherwise: str) -> None:  # noqa: FBT001 - it reads as a sentence
        if not fine:
            self.missed.append(otherwise)
            print(f"    NOT as it must be: {otherwise}")


def p50(values: Sequence[float]) -> float:
    return statistics.median(values) if values else float("nan")


def line(name: str, values: Sequence[float], driver: float | None = None, floor: float | None = None) -> str:
    """Milliseconds, and how many times those of the bare driver and of the protocol alone they are."""
    ordered = sorted(values)
    p95 = ordered[int(len(ordered) * 0.95)] if ordered else float("nan")
    ratios = f"  {p50(values) / driver:6.1f} x driver" if driver else ""
    ratios += f"  {p50(values) / floor:5.2f} x floor" if floor else ""
    return f"  {name:{_WIDTH}} p50 {p50(values) * 1000:7.2f} ms  p95 {p95 * 1000:8.2f} ms  of {len(ordered):6}{ratios}"


def is_fast_enough(own: float, driver: float, floor: float) -> bool:
    return own <= max(TIMES_DRIVER * driver, TIMES_FLOOR * floor)


def counted(run: Run) -> str:
    calls = ", ".join(f"{run.calls[kind]} {kind}" for kind in run.calls)
    return f"    calls: {calls}; errors that were not caused: {sum(run.problems.values())}"


def problems(run: Run) -> str:
    return "\n".join(f"    {count} times {problem}" for problem, count in run.problems.most_common(5))


def grown(run: Run) -> tuple[float, float] | None:
    """MiB after the first seconds and at the end; None where the run was too short to tell."""
    early = [size for at, size in run.memory if at >= _EARLY_SECONDS]
    return (early[0], early[-1]) if len(early) > 1 and run.memory[-1][0] >= 2 * _EARLY_SECONDS else None


def is_flat(early: float, late: float) -> bool:
    return late <= max(early * _MOST_GROWTH, early + _MOST_GROWTH_MIB)
