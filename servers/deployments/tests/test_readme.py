"""The package's README against the code."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from opsroom_deployments.settings import DeploymentsSettings
from opsroom_deployments.spec import Environment, PlatformSettings, Probe, Service
from opsroom_deployments.tools import READ_TOOLS, WRITE_TOOLS
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
    [
        ("Settings", DeploymentsSettings),
        ("Settings of a service", Service),
        ("Settings of a probe", Probe),
        ("Settings of an environment", Environment),
        ("Settings of a platform", PlatformSettings),
    ],
)
def test_settings_table_is_the_code(heading: str, settings: type[BaseModel]) -> None:
    """The table has every setting with its default and meaning."""
    expected: list[list[str]] = []
    for name, field in settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        shown = "" if default in (None, PydanticUndefined) else f"`{_plain(default)}`"
        expected.append([f"`{name}`", shown, field.description or ""])

    assert all(meaning for _, _, meaning in expected)
    assert table_after(heading) == expected


def test_example_is_a_configuration() -> None:
    """The whole example is accepted, and shows both platforms and each part of it."""
    [text] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    settings = DeploymentsSettings.model_validate(tomllib.loads(text))

    assert settings.environments["production"].platform == "edge"
    assert [*settings.services] == ["checkout", "search"]
    assert settings.services["checkout"].environments["production"].publish == 8443
    assert settings.environments["production"].freezes[0].reason == "holidays"


def test_blocks_to_paste_are_valid() -> None:
    """Every JSON block can be pasted as it stands, and names the console script."""
    blocks: list[dict[str, dict[str, dict[str, object]]]] = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    ]

    assert [key for block in blocks for key in block] == ["mcpServers", "servers"]
    assert {str(server["command"]) for block in blocks for servers in block.values() for server in servers.values()} == {
        "opsroom-deployments"
    }


def _plain(value: object) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    return value if isinstance(value, str) else json.dumps(value)
