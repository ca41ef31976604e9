"""What a search may cost."""

from datetime import UTC, datetime, timedelta

import pytest
from opsroom_monitoring.log_budget import check_scan
from opsroom_monitoring.series import Window
from opsroom_shared.errors import TooLarge

END = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GIB = 1 << 30


@pytest.mark.parametrize("scanned", [None, 0, GIB])
def test_what_fits_is_let_through(scanned: int | None) -> None:
    """Up to the budget, and where the backend cannot tell, a search goes on."""
    check_scan(scanned, GIB, Window(END - timedelta(days=1), END))


@pytest.mark.parametrize(
    ("scanned", "hours", "advice"),
    [
        (4 * GIB, 24, "This would read 4 GiB of logs; at most 1 GiB are read for one search. A window of 5h would fit"),
        (10 * GIB, 24 * 60, "A window of 5d would fit"),
        (2 * GIB, 1, "A window of 27m would fit"),
        (5_000 * GIB, 1, "No window of a minute would fit: give a narrower selector"),
    ],
)
def test_what_does_not_fit_says_what_would(scanned: int, hours: int, advice: str) -> None:
    """A refusal carries the bytes, the budget and a window that fits it."""
    with pytest.raises(TooLarge, match=advice):
        check_scan(scanned, GIB, Window(END - timedelta(hours=hours), END))


@pytest.mark.parametrize("times", [1.5, 3.0, 10.0, 100.0])
def test_advised_window_fits(times: float) -> None:
    """Over evenly spread logs, the window that is advised is within the budget."""
    window = Window(END - timedelta(days=2), END)

    with pytest.raises(TooLarge) as caught:
        check_scan(int(GIB * times), GIB, window)

    span = str(caught.value).partition("A window of ")[2].partition(" would")[0]
    seconds = int(span[:-1]) * {"m": 60, "h": 3_600, "d": 86_400}[span[-1]]
    assert 0 < seconds <= window.seconds / times
