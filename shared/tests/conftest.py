"""The small server of these tests, as a command."""

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def notes() -> list[str]:
    """The command that starts the notes server."""
    return [sys.executable, str(Path(__file__).parent / "servers" / "notes.py")]
