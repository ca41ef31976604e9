"""The demo repository: a believable shop with open changes, made on first use."""

from .making import DEMO_NAME, demo_repository, make_repository

__all__ = ["DEMO_NAME", "demo_repository", "make_repository"]
