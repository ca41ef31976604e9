from pathlib import Path

import pytest
from opsroom.agents.registry import load_agents
from opsroom_shared.config import ConfigError

OWN = """\
name = "stock"
title = "Stock"
description = "Knows what lies in which warehouse."
capabilities = ["warehouse"]
examples = ["how many crates are left"]

[output.crates]
type = "number"
description = "Crates left."

[[offline]]
match = 'in (?P<hall>\\w+)'
tool = "list_crates"
arguments = { hall = "{hall}" }
"""
PROMPT = """\
---
version: 1
models: any
changes: First.
---

# full

You know the warehouse.

# simplified

Warehouse.

# minimal

Stock.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts" / "stock").mkdir(parents=True)
    (tmp_path / "prompts" / "stock" / "1.md").write_text(PROMPT)
    return tmp_path


def test_four_agents_ship() -> None:
    """Without a folder of a team's own there are the suite's agents, each for its server."""
    agents = load_agents()

    assert {name: agent.capabilities for name, agent in agents.items()} == {
        name: (name,) for name in ("code_review", "databases", "deployments", "monitoring")
    }


def test_a_team_adds_an_agent_by_dropping_files(folder: Path) -> None:
    """A definition and a prompt in agents.d are all it takes."""
    (folder / "stock.toml").write_text(OWN)

    agents = load_agents(folder)

    assert len(agents) == 5
    assert agents["stock"].capabilities == ("warehouse",)


def test_a_folder_that_is_not_there_adds_nothing(tmp_path: Path) -> None:
    """agents.d is optional."""
    assert load_agents(tmp_path / "agents.d") == load_agents()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('title = "Stock"', "title = 7", "stock.toml:2: title: input should be a valid string"),
        ('title = "Stock"', 'titel = "Stock"', "title: field required"),
        ('name = "stock"', 'name = "stocks"', "stock.toml:1: name: expected the name of the file, stock"),
        ('title = "Stock"', "title = ", "stock.toml: not valid TOML"),
        ("match = 'in (", "match = 'in ((", "offline.0.match"),
        ('"{hall}"', '"{room}"', "offline.0.arguments: expected {text}, {sql} or a named group of `match` (got {room})"),
        (
            "[output.crates]",
            "[output.answer]",
            "stock.toml:7: output.answer: expected a lower-case name that an answer does not have",
        ),
        ("[output.crates]", "[output.model_dump]", "output.model_dump: expected a lower-case name"),
        ("[output.crates]", "[output.Crates]", "output.Crates: expected a lower-case name"),
    ],
)
def test_a_broken_definition_says_where_and_what(folder: Path, before: str, after: str, message: str) -> None:
    """One line with the file, the line, the key and what was expected."""
    assert before in OWN
    (folder / "stock.toml").write_text(OWN.replace(before, after))

    with pytest.raises(ConfigError) as caught:
        load_agents(folder)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shipped_agent_is_not_replaced_by_accident(folder: Path) -> None:
    """Two agents of one name would answer each other's requests."""
    (folder / "databases.toml").write_text(OWN.replace('"stock"', '"databases"'))

    with pytest.raises(ConfigError, match=r"databases\.toml:1: name: the agent databases exists already"):
        load_agents(folder)


def test_an_agent_without_a_prompt_is_refused(tmp_path: Path) -> None:
    """It is said at once and with the file that is missing, not at the first request."""
    (tmp_path / "stock.toml").write_text(OWN)

    with pytest.raises(ConfigError, match=r"prompts/stock/1\.md: no such file"):
        load_agents(tmp_path)
