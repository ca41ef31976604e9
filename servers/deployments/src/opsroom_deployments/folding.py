"""Log lines that differ in numbers and times alone, told once with how often they came: pure."""

import re
from collections.abc import Sequence

from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from .models import LogLine
from .platforms import LogRow

_VARIES = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?|0x[0-9a-fA-F]+|\b[0-9a-f]{8,64}\b|\d+")
_MAX_LINE = 1_000


def folded(rows: Sequence[LogRow], grep: str | None) -> tuple[list[LogLine], int]:
    """Rows that contain *grep*, whatever its case, with runs of likes as one; and how many rows matched."""
    lines: list[LogLine] = []
    matched, shape = 0, None
    for row in rows:
        text = redact(row.text)  # before all else: half a secret, or whether one is there, is not shown either
        if grep is not None and grep.lower() not in text.lower():
            continue
        matched += 1
        own = _VARIES.sub("0", text)
        if lines and own == shape:
            lines[-1] = lines[-1].model_copy(update={"count": lines[-1].count + 1})
        else:
            lines.append(LogLine(text=redact(clean(text, _MAX_LINE)), at=row.at))
        shape = own
    return lines, matched
