"""Short names for series: of long label sets only what tells them apart."""

from collections.abc import Sequence

from opsroom_shared.outside import clean

from ..series import Series

_MAX_NAME = 200


def short_names(series: Sequence[Series]) -> list[str]:
    """A name for each series. What all have in common is left out."""
    sets = [_all_labels(each) for each in series]
    if len(series) == 1:
        return [_whole(series[0])]
    telling = _telling(sets)
    plain = len(telling) <= 2
    return [
        clean(
            " ".join(labels.get(key) or "–" for key in telling)
            if plain
            else ", ".join(f"{key}={labels[key]}" for key in telling if key in labels),
            _MAX_NAME,
        )
        or _whole(each)
        for labels, each in zip(sets, series, strict=True)
    ]


def _all_labels(series: Series) -> dict[str, str]:
    return {**series.labels, "__name__": series.name} if series.name else dict(series.labels)


def _whole(series: Series) -> str:
    own = {key: value for key, value in series.labels.items() if key != "__name__"}
    name = series.name or series.labels.get("__name__", "")
    if len(own) == 1 and not name:
        return clean(next(iter(own.values())), _MAX_NAME)
    labels = ", ".join(f"{key}={value}" for key, value in sorted(own.items()))
    return clean(f"{name}{{{labels}}}" if name and labels else name or labels or "value", _MAX_NAME)


def _telling(sets: Sequence[dict[str, str]]) -> list[str]:
    """The fewest labels, taken greedily, that tell the sets apart: those with many different values first, then short ones."""
    keys = sorted({key for labels in sets for key in labels})
    differing = [key for key in keys if len({labels.get(key) for labels in sets}) > 1]
    chosen: list[str] = []

    def apart(names: Sequence[str]) -> int:
        return len({tuple(labels.get(name) for name in names) for labels in sets})

    def cost(key: str) -> tuple[int, int]:
        return -apart([*chosen, key]), sum(len(labels.get(key, "")) for labels in sets)

    while differing and apart(chosen) < len({tuple(sorted(labels.items())) for labels in sets}):
        best = min(differing, key=cost)
        chosen.append(best)
        differing.remove(best)
    return chosen
