"""What judging comes to, and the words that findings share. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..models import Finding, Severity
from .thresholds import Level


@dataclass(frozen=True)
class Verdict:
    """What was found in some facts, and the figures that a reader of a quiet database wants to see."""

    findings: tuple[Finding, ...] = ()
    figures: str = ""


def severity(figure: float, level: Level) -> Severity | None:
    """How bad *figure* is; None where it is not."""
    if figure >= level.critical:
        return "critical"
    return "warning" if figure >= level.warning else None


def worst(*severities: Severity | None) -> Severity | None:
    return "critical" if "critical" in severities else "warning" if "warning" in severities else None


def percent(share: float) -> str:
    return f"{share * 100:.3g} %" if share >= 0.001 or not share else "under 0.1 %"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `9 days`."""
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 2 * 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.0f} days"


def size(count: int) -> str:
    """`820 kB`, `1.4 GB`."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1_000:
            break
        amount, unit = amount / 1_000, larger
    return f"{amount:.3g} {unit}" if amount < 1_000 else f"{amount:.0f} {unit}"


def joined(parts: Iterable[str | None], separator: str = ", ") -> str:
    return separator.join(part for part in parts if part)
