"""What holds for the tests of every package."""

import os

import hypothesis

# A busy machine is no failure; a hang ends at pytest's own limit.
hypothesis.settings.register_profile("opsroom", deadline=None)
hypothesis.settings.load_profile("opsroom")


def pytest_configure() -> None:
    """Settings of whoever runs the tests do not reach them, nor the processes that they start."""
    for name in list(os.environ):
        if name.startswith(("OPSROOM_", "ANTHROPIC_", "FASTMCP_")) and name != "OPSROOM_REQUIRE_SERVICES":
            del os.environ[name]
