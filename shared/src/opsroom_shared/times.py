"""Times as people and models write them, as aware moments in UTC."""

import re
from datetime import UTC, datetime, timedelta

from .errors import InvalidInput

_SPAN = re.compile(r"-?\s*(?:(?:last|past)\s+)?(\d{1,6}(?:\.\d{1,3})?)\s*([a-z]+)(?:\s+ago)?", re.IGNORECASE)
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3_600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}
_UNIX = re.compile(r"\d{9,11}(?:\.\d{1,6})?")
_EXPECTED = "Write 2026-11-24T10:30:00Z, a unix time, or a span before now such as 90m, 2h or 7d"


def parse_time(text: str, now: datetime) -> datetime:
    """RFC 3339 (without a zone it is UTC), a date, unix seconds, `now`, or a span before *now* such as `2h`, `-1h`, `7 days ago`.

    Raises InvalidInput with what was expected.
    """
    words = text.strip()
    if words.lower() == "now":
        return now
    if _UNIX.fullmatch(words):
        return datetime.fromtimestamp(float(words), UTC)
    span = _SPAN.fullmatch(words)
    if span and span[2].lower() in _UNITS:
        try:
            return now - timedelta(seconds=float(span[1]) * _UNITS[span[2].lower()])
        except OverflowError:
            raise InvalidInput(f"{words!r} is too long ago. {_EXPECTED}.") from None
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        raise InvalidInput(f"{words[:60]!r} is no time that is understood. {_EXPECTED}.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
