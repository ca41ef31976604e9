"""parse_time reads what people write."""

from datetime import UTC, datetime

import pytest
from opsroom_shared.errors import InvalidInput
from opsroom_shared.times import parse_time

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("2026-11-24T10:30:00Z", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("2026-11-24T12:30:00+02:00", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("2026-11-24 10:30", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("1795521600", datetime(2026, 11, 24, 12, 0, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 24, 10, 0, tzinfo=UTC)),
        ("-90m", datetime(2026, 11, 24, 10, 30, tzinfo=UTC)),
        ("7 days ago", datetime(2026, 11, 17, 12, 0, tzinfo=UTC)),
        ("last 30 minutes", datetime(2026, 11, 24, 11, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_read(text: str, expected: datetime) -> None:
    """Each form gives its moment, in UTC."""
    assert parse_time(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterdayish", "2026-13-01", "5 parsecs", "999999w", "1e9", "-"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The words say what was expected."""
    with pytest.raises(InvalidInput, match="2026-11-24T10:30:00Z"):
        parse_time(text, NOW)
