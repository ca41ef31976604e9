"""A plain git repository as a provider, without any forge."""

from .place import find_place
from .provider import LocalProvider

__all__ = ["LocalProvider", "find_place"]
