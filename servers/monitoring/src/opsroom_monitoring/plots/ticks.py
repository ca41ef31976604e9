"""Round numbers for axes, and figures as people write them."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

_MINUS = "\N{MINUS SIGN}"
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_SPANS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_NAMES = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "seconds"),
    **dict.fromkeys(("b", "byte", "bytes"), "bytes"),
    **dict.fromkeys(("bytes/s", "bytes/sec", "b/s"), "bytes/s"),
    **dict.fromkeys(("ratio", "fraction"), "ratio"),
    **dict.fromkeys(("%", "percent"), "%"),
}
_STEPS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_536_000,
)  # fmt: skip


_SHORT = 3


@dataclass(frozen=True)
class Scale:
    """What values are divided by so that they read well, and what is written behind them."""

    factor: float
    suffix: str
    beside: str = ""
    """A unit that is too long to stand behind every figure, and is said once."""

    def text(self, value: float, digits: int = 3) -> str:
        scaled = value / self.factor
        if scaled == 0:
            number = "0"
        elif 1e-4 <= abs(scaled) < 1e6:
            number = f"{scaled:.{max(0, digits - 1 - math.floor(math.log10(abs(scaled))))}f}"
            number = number.rstrip("0").rstrip(".") if "." in number else number
        else:
            number = f"{scaled:.{digits}g}"
        return (number + self.suffix).replace("-", _MINUS)


def scale_of(size: float, unit: str | None) -> Scale:
    """How values up to *size* are written. Seconds become ms or min, bytes KiB or MiB, all else gets k or M."""
    name = _NAMES.get((unit or "").lower(), unit or "")
    if name == "seconds":
        factor, suffix = next((each for each in _SPANS if size >= each[0]), _SPANS[-1] if size > 0 else (1.0, "s"))
        return Scale(factor, f" {suffix}")
    if name in ("bytes", "bytes/s"):
        factor, suffix = next((each for each in _BINARY if size >= each[0]), (1.0, "B"))
        return Scale(factor, f" {suffix}{'/s' if name == 'bytes/s' else ''}")
    if name == "ratio":
        return Scale(0.01, " %")
    factor, prefix = next((each for each in _PREFIXES if each[0] * 10 <= size < 1e16), (1.0, ""))
    if len(name) > _SHORT:
        return Scale(factor, prefix, beside=name)
    return Scale(factor, f"{prefix} {name}" if name else prefix)


def value_ticks(low: float, high: float, count: int, factor: float) -> list[float]:
    """About *count* values between *low* and *high* that are round once they are divided by *factor*."""
    low, high = low / factor, high / factor
    rough = high / max(count, 1) - low / max(count, 1)
    if not math.isfinite(rough) or rough <= 0:
        return [low * factor]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((each * power for each in (1.0, 2.0, 2.5, 5.0) if each * power >= rough), 10.0 * power)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step * factor for number in range(first, last + 1)] if last - first <= 50 else [low * factor]


def time_ticks(start: float, end: float, count: int) -> list[tuple[float, str]]:
    """At most *count* round times between *start* and *end*, in UTC, and how they are written."""
    step = next((each for each in _STEPS if (end - start) / each <= count), _STEPS[-1])
    first = math.ceil(start / step)
    times = [number * float(step) for number in range(first, min(math.floor(end / step), first + 50) + 1)]
    return [(at, _time(at, step)) for at in times]


def _time(at: float, step: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    if step >= 31_536_000:
        return f"{moment:%Y}"
    if step >= 86_400 or (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%b} {moment.day}"
    return f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"


def span(start: datetime, end: datetime) -> str:
    """A window in words, with its zone."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    second = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} – {second} UTC"
