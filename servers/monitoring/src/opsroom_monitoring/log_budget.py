"""What a search of logs may make its backend read: refused before it is asked, with the window that would fit."""

from opsroom_shared.errors import TooLarge

from .series import Window

_SHORTEST = 60


def check_scan(scanned: int | None, budget: int, window: Window) -> None:
    """Raises TooLarge where *scanned* bytes of *window* are over *budget*; what the backend cannot tell is let through."""
    if scanned is None or scanned <= budget:
        return
    fitting = window.seconds * budget / scanned * 0.9  # logs are not spread evenly
    if fitting >= _SHORTEST:
        advice = f"A window of {_span(fitting)} would fit; so may a narrower selector."
    else:
        advice = "No window of a minute would fit: give a narrower selector."
    raise TooLarge(f"This would read {_size(scanned)} of logs; at most {_size(budget)} are read for one search. {advice}")


def _span(seconds: float) -> str:
    """Rounded down, in the unit in which it is short."""
    for unit, length in (("d", 86_400), ("h", 3_600)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds // 60)}m"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1_024 or unit == "TiB":
            return f"{size:.3g} {unit}" if unit != "bytes" else f"{count} bytes"
        size /= 1_024
    raise AssertionError("the last unit takes any size")
