"""The package's README against the code."""

import json
import re
from pathlib import Path

import pytest
from opsroom_databases.settings import DatabaseSettings, DatabasesSettings
from opsroom_databases.tools import READ_TOOLS
from opsroom_databases.writing import WRITE_TOOLS
from opsroom_shared.testing.readme import settings_rows, table_after, tool_rows
from pydantic import BaseModel

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_tools_table_is_the_code() -> None:
    """The table names every tool with the first sentence of its description."""
    assert table_after(README, "Tools") == tool_rows((*READ_TOOLS, *WRITE_TOOLS))


@pytest.mark.parametrize(
    ("heading", "settings"), [("Settings", DatabasesSettings), ("Settings of one database", DatabaseSettings)]
)
def test_settings_table_is_the_code(heading: str, settings: type[BaseModel]) -> None:
    """The table has every setting with its default and meaning."""
    assert table_after(README, heading) == settings_rows(settings)


def test_blocks_to_paste_are_valid() -> None:
    """Every JSON block can be pasted as it stands, and names the console script."""
    blocks: list[dict[str, dict[str, dict[str, object]]]] = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    ]

    assert [key for block in blocks for key in block] == ["mcpServers", "servers"]
    assert {str(server["command"]) for block in blocks for servers in block.values() for server in servers.values()} == {
        "opsroom-databases"
    }
