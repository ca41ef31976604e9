"""The small server of these tests, as a command."""

import os
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def notes() -> list[str]:
    """The command that starts the notes server."""
    return [sys.executable, str(Path(__file__).parent / "servers" / "notes.py")]


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    """Nothing in the caller's environment changes what these tests see."""
    for name in list(os.environ):
        if name.startswith(("OPSROOM_", "FASTMCP_")) and name not in ("FASTMCP_ENV_FILE", "FASTMCP_CHECK_FOR_UPDATES"):
            del os.environ[name]
