"""The package's README against the code."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from opsroom_monitoring.settings import GrafanaSettings, LocalSettings, MonitoringSettings
from opsroom_monitoring.tools import READ_TOOLS, WRITE_TOOLS
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def table_after(heading: str) -> list[list[str]]:
    """The cells of the first table below *heading*, without its head."""
    body = README.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_tools_table_is_the_code() -> None:
    """The table names every tool with the first sentence of its description."""
    expected = [
        [f"`{tool.function.__name__}`", re.split(r"(?<=\.)\s", (tool.function.__doc__ or "").strip())[0]]
        for tool in (*READ_TOOLS, *WRITE_TOOLS)
    ]

    assert table_after("Tools") == expected


@pytest.mark.parametrize(
    ("heading", "settings"),
    [("Settings", MonitoringSettings), ("Settings of a Grafana", GrafanaSettings), ("Settings of local", LocalSettings)],
)
def test_settings_table_is_the_code(heading: str, settings: type[BaseModel]) -> None:
    """The table has every setting with its default and meaning."""
    expected: list[list[str]] = []
    for name, field in settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, PydanticUndefined) else f"`{_plain(default)}`"
        expected.append([f"`{name}`", shown, field.description or ""])

    assert table_after(heading) == expected


def test_example_of_a_configuration_is_one() -> None:
    """The file in the README is accepted as it stands."""
    (block,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    settings = MonitoringSettings.model_validate(tomllib.loads(block))

    assert settings.tenant == {"team": "shop"}
    assert [each.kind for each in settings.changes] == ["mcp"]


def test_blocks_to_paste_are_valid() -> None:
    """Every JSON block can be pasted as it stands, and names the console script."""
    blocks: list[dict[str, dict[str, dict[str, object]]]] = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    ]

    assert [key for block in blocks for key in block] == ["mcpServers", "servers"]
    assert {str(server["command"]) for block in blocks for servers in block.values() for server in servers.values()} == {
        "opsroom-monitoring"
    }


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
