"""The health of a database: what is looked at, how it is judged, and how much one look may cost."""

from typing import Literal

Focus = Literal["all", "activity", "storage", "indexes"]
