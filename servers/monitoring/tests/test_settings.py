"""The settings of the monitoring server."""

import os
import subprocess
import sys

import pytest
from opsroom_monitoring.settings import McpChanges, MonitoringSettings
from pydantic import ValidationError

SHOW = (
    "from opsroom_monitoring.settings import MonitoringSettings as M; s = M({demo}); "
    "print(s.prometheus and s.prometheus.url, s.grafana and s.grafana.url, bool(s.grafana and s.grafana.token), s.loki)"
)


def shown(demo: str = "", **environment: str) -> str:
    """What a process of its own with these variables makes of them."""
    code = SHOW.replace("{demo}", demo)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_usual_variables_configure_sources() -> None:
    """The variables of other tools are read; a token without an address is no Grafana."""
    both = shown(PROMETHEUS_URL="http://p:9090/", GRAFANA_URL="http://g", GRAFANA_TOKEN="secret-token")  # noqa: S106 - of nobody
    alone = shown(GRAFANA_TOKEN="secret-token")  # noqa: S106 - of nobody

    assert both == "http://p:9090 http://g True None"
    assert alone == "None None False None"


def test_demo_reads_no_variables() -> None:
    """The demo has its own sources, whatever the environment names."""
    assert shown("demo=True", PROMETHEUS_URL="http://p:9090").startswith("None")


@pytest.mark.parametrize(
    "given",
    [
        {"prometheus": {"url": "ftp://x"}},
        {"prometheus": {"url": "http://x/?a=b"}},
        {"prometheus": {}},
        {"changes": [{"kind": "mcp"}]},
        {"changes": [{"kind": "mcp", "command": ["x"], "url": "http://x"}]},
        {"changes": [{"kind": "grafana"}]},
        {"changes": [{"kind": "other"}]},
        {"tenant": {"a-b": "c"}},
        {"max_silence_hours": 0},
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, object]) -> None:
    """An address that is none, a source that says two things, and a label that cannot be are refused at start."""
    with pytest.raises(ValidationError):
        MonitoringSettings.model_validate(given)


def test_token_is_not_shown() -> None:
    """A representation of the settings has no secret."""
    settings = MonitoringSettings.model_validate({"prometheus": {"url": "http://p", "token": "very-secret"}})

    assert "very-secret" not in repr(settings)
    assert settings.prometheus is not None
    assert settings.prometheus.all_headers() == {"Authorization": "Bearer very-secret"}


def test_change_source_over_http() -> None:
    """An MCP server is reached by a command or by an address."""
    settings = MonitoringSettings.model_validate({"changes": [{"kind": "mcp", "url": "http://127.0.0.1:8000/mcp"}]})

    assert isinstance(settings.changes[0], McpChanges)
