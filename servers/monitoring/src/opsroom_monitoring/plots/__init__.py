"""Pictures of time series: a PNG of at most 20 KB, and the same in words."""

from .picture import Marker, Picture, describe, render

__all__ = ["Marker", "Picture", "describe", "render"]
