"""Which queries cost most, as the engine itself has counted them."""

from typing import Literal

Order = Literal["total_time", "mean_time", "calls", "rows", "io"]
