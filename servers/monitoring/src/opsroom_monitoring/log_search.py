"""Logs, as patterns first: bounded in bytes read, and in lines shown."""

import asyncio

from opsroom_shared.errors import InvalidInput
from opsroom_shared.outside import clean
from opsroom_shared.redact import redact

from .log_budget import check_scan
from .log_patterns import mined
from .models import LogLine, LogMode, Logs
from .opening import Sources
from .series import Window
from .sources import LogQuery

_MINED_LINES = 2_000
_MAX_LINE = 500


async def search(sources: Sources, query: str, window: Window, mode: LogMode, limit: int) -> Logs:
    """Raises InvalidInput, TooLarge for what would read too much, and what the source says."""
    logs = sources.logs
    if logs is None:
        raise InvalidInput("No source of logs is configured. Set loki.url, or local.logs to follow files.")
    asked = LogQuery(query, window, limit)
    scanned = await logs.scan_bytes(asked)
    check_scan(scanned, sources.settings.max_scan_bytes, window)
    answer = Logs(mode=mode, start=window.start, end=window.end, scanned_bytes=scanned)
    if mode == "count":
        return answer.model_copy(update={"total": await logs.count(asked)})
    if mode == "lines":
        lines = [_shown(each) for each in (await logs.lines(asked))[:limit]]
        hint = "The newest are shown. Narrow it, or ask for patterns." if len(lines) == limit else None
        return answer.model_copy(update={"lines": lines, "shown": len(lines), "hint": hint if lines else _NOTHING})
    patterns = await logs.patterns(asked)
    hint = None
    if patterns is None:
        lines = await logs.lines(LogQuery(query, window, _MINED_LINES))
        patterns = await asyncio.to_thread(mined, lines)
        if len(lines) == _MINED_LINES:
            hint = f"Made of the newest {_MINED_LINES:,} lines; there are more."
    shown = [
        each.model_copy(
            update={
                "pattern": redact(clean(each.pattern, _MAX_LINE)),
                "example": redact(clean(each.example or "", _MAX_LINE)) or None,
            }
        )
        for each in patterns[:limit]
    ]
    if len(patterns) > limit:
        hint = f"{limit} of {len(patterns)} patterns. {hint or ''}".strip()
    total = sum(each.count for each in patterns)
    return answer.model_copy(update={"patterns": shown, "shown": len(shown), "total": total, "hint": hint if shown else _NOTHING})


_NOTHING = "No line matches. Give an earlier `start`, or a wider query."


def _shown(line: LogLine) -> LogLine:
    return line.model_copy(update={"text": redact(clean(line.text, _MAX_LINE))})
