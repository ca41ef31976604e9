"""The font that pictures are written in, how wide text is in it, and where labels find room."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

FONT = Path(__file__).with_name("font") / "DejaVuSans-subset.ttf"
FAMILY = "DejaVu Sans"


@lru_cache(maxsize=8)
def _widths(size: int):  # noqa: ANN202 - the type of a library that is imported where it is needed
    from PIL import ImageFont

    return ImageFont.truetype(FONT, size)


@lru_cache(maxsize=2_048)
def width(text: str, size: int) -> float:
    return float(_widths(size).getlength(text))


def fitted(text: str, size: int, room: float) -> str:
    """*text*, cut in the middle where it is wider than *room*: beginnings and ends tell names apart."""
    if width(text, size) <= room:
        return text
    for kept in range(len(text) - 1, 1, -1):
        head = (kept + 1) // 2
        cut = f"{text[:head]}…{text[len(text) - (kept - head) :]}"
        if width(cut, size) <= room:
            return cut
    return "…"


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Places near *wanted*, at least *apart* from each other, between *low* and *high* where they fit."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    # neighbours that overlap become a group, which sits around the middle of what its members want
    groups: list[tuple[float, int]] = []
    for index in order:
        middle, count = wanted[index], 1
        while groups and groups[-1][0] + groups[-1][1] * apart / 2 > middle - count * apart / 2:
            before, many = groups.pop()
            middle = (before * many + middle * count) / (many + count)
            count += many
            middle = min(max(middle, low + (count - 1) * apart / 2), high - (count - 1) * apart / 2)
        middle = min(max(middle, low + (count - 1) * apart / 2), high - (count - 1) * apart / 2)
        groups.append((middle, count))
    places: list[float] = []
    for middle, count in groups:
        first = middle - (count - 1) * apart / 2
        places += [first + number * apart for number in range(count)]
    found = [0.0] * len(wanted)
    for index, place in zip(order, places, strict=True):
        found[index] = place
    return found
