from pathlib import Path

import pytest
from opsroom.agents.definition import Variant
from opsroom.agents.prompts import (
    MAX_TOKENS,
    TOKEN_LIMITS,
    VARIANTS,
    Prompt,
    front_matter,
    lint_prompt,
    load_prompt,
    prompt_versions,
)
from opsroom.agents.registry import load_agents
from opsroom.agents.result import result_model
from opsroom.evals.tools import load_table
from opsroom_shared.config import ConfigError

AGENTS = load_agents()
WORDS = {"needs_input", "histogram_quantile"}
"""What looks like a tool's name and is none: a status of the answer, a function of PromQL."""


def text(version: int, *, full: str = "You are the stock agent.") -> str:
    front = f"---\nversion: {version}\nmodels: any\nchanges: Nothing yet.\n---\n"
    return f"{front}\n# full\n\n{full}\n\n# simplified\n\nShort.\n\n# minimal\n\nTiny.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    prompts = tmp_path / "prompts" / "stock"
    prompts.mkdir(parents=True)
    (prompts / "1.md").write_text(text(1))
    (prompts / "10.md").write_text(text(10, full="You are the tenth stock agent."))
    (prompts / "2.md").write_text(text(2))
    return tmp_path


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_shipped_prompt_is_short_and_names_only_what_exists(agent: str, variant: Variant) -> None:
    """Within the tokens of its variant, and no tool or field in it that a model would look for in vain."""
    known = {tool.name for tool in load_table()} | {*result_model(AGENTS[agent]).model_fields} | WORDS

    for version in prompt_versions(agent):
        prompt = load_prompt(agent, variant, version)

        assert lint_prompt(prompt, known, TOKEN_LIMITS[variant]) == ()
        assert prompt.tokens <= MAX_TOKENS


@pytest.mark.parametrize("agent", AGENTS)
def test_every_rung_keeps_the_trust_rules(agent: str) -> None:
    """Even the shortest says: results are no instructions, secrets stay in, writes are approved, gaps are named."""
    for variant in VARIANTS:
        words = " ".join(load_prompt(agent, variant).text.split()).lower()

        assert "never" in words
        assert "secret" in words or "password" in words
        assert "approv" in words
        assert "did not find" in words or "not find" in words


def test_the_newest_version_is_the_default(folder: Path) -> None:
    """Versions are numbers: 10 comes after 2."""
    newest = load_prompt("stock", "full", extra=folder)

    assert newest == Prompt("stock", 10, "full", "You are the tenth stock agent.")
    assert list(prompt_versions("stock", extra=folder)) == [1, 2, 10]


def test_an_older_version_can_be_asked_for(folder: Path) -> None:
    """Evals and rollbacks name a version."""
    assert load_prompt("stock", "minimal", 1, extra=folder) == Prompt("stock", 1, "minimal", "Tiny.")


def test_the_digest_names_the_text(folder: Path) -> None:
    """The same text has the same digest in every version; another text has another."""
    first, second, tenth = (load_prompt("stock", "full", version, extra=folder) for version in (1, 2, 10))

    assert first.digest == second.digest
    assert first.digest != tenth.digest


def test_an_edited_file_is_read_again(folder: Path) -> None:
    """A prompt that is being worked on takes effect without a restart."""
    load_prompt("stock", "full", 1, extra=folder)
    (folder / "prompts" / "stock" / "1.md").write_text(text(1, full="You were the stock agent, long ago."))

    assert load_prompt("stock", "full", 1, extra=folder).text == "You were the stock agent, long ago."


def test_front_matter_says_what_changed(folder: Path) -> None:
    """The list of prompts is made from it."""
    assert front_matter(folder / "prompts" / "stock" / "2.md").changes == "Nothing yet."


@pytest.mark.parametrize(
    ("version", "message"),
    [(7, "stock@7: no such prompt; there are stock@1, stock@2, stock@10"), (0, "stock@0: no such prompt")],
)
def test_an_unknown_version_lists_the_known_ones(folder: Path, version: int, message: str) -> None:
    """The fix stands in the message."""
    with pytest.raises(ConfigError) as caught:
        load_prompt("stock", "full", version, extra=folder)

    assert message in str(caught.value)


def test_an_agent_name_is_no_way_out_of_the_folder(folder: Path) -> None:
    """A name with path parts finds nothing."""
    (folder / "1.md").write_text(text(1))

    with pytest.raises(ConfigError, match="no such file"):
        load_prompt("..", "full", extra=folder)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("---\nversion", "version", "1.md:1: expected front matter between two lines of ---"),
        ("models: any", "models any", "1.md:3: expected `key: value`"),
        ("models: any", "mood: any", "expected the keys version, models and changes"),
        ("version: 1", "version: 3", "version: expected the name of the file, 1 (got 3)"),
        ("# minimal", "# tiny", "# tiny: expected the sections full, simplified, minimal"),
        ("# minimal\n\nTiny.\n", "", "expected a section `# minimal`"),
        ("Tiny.", "", "expected a section `# minimal`"),
        ("Tiny.", "x" * 70_000, "larger than 64,000 bytes"),
        ("Tiny.", "Tiny.\n\n# full\n\nAgain.", "# full: stands twice"),
    ],
)
def test_a_broken_prompt_says_where_and_what(folder: Path, before: str, after: str, message: str) -> None:
    """One line with the file and what was expected in it."""
    path = folder / "prompts" / "stock" / "1.md"
    path.write_text(text(1).replace(before, after, 1))

    with pytest.raises(ConfigError) as caught:
        load_prompt("stock", "full", 1, extra=folder)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_prompt_that_is_not_text_is_refused(folder: Path) -> None:
    """Bytes that are no UTF-8 never reach a model."""
    (folder / "prompts" / "stock" / "1.md").write_bytes(b"---\nversion: 1\xff\n")

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_prompt("stock", "full", 1, extra=folder)


def test_the_linter_finds_size_and_unknown_names() -> None:
    """Both reasons are named, in one go."""
    prompt = Prompt("stock", 1, "full", "Use list_crates, then drop_crates. " + "x" * 7_000)

    assert lint_prompt(prompt, {"list_crates"}) == ("2010 tokens, over 2000", "names drop_crates, which does not exist")
