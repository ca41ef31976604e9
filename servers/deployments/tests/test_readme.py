"""The package's README against the code."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from opsroom_deployments.settings import DeploymentsSettings
from opsroom_deployments.spec import Environment, PlatformSettings, Probe, Service
from opsroom_deployments.tools import READ_TOOLS, WRITE_TOOLS
from opsroom_shared.testing.readme import settings_rows, table_after, tool_rows
from pydantic import BaseModel

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_tools_table_is_the_code() -> None:
    """The table names every tool with the first sentence of its description."""
    assert table_after(README, "Tools") == tool_rows((*READ_TOOLS, *WRITE_TOOLS))


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
    expected = settings_rows(settings)

    assert all(meaning for _, _, meaning in expected)
    assert table_after(README, heading) == expected


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
