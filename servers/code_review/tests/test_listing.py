"""What a client is sent as tools/list, from the real process."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from opsroom_shared.testing.contract import contract_problems, listing_tokens
from opsroom_shared.testing.process import Json, ServerProcess, server_process

from .conftest import Work

SCRIPT = Path(sys.executable).parent / "opsroom-code-review"
ROLES = {
    "reader": "find_changes get_change read_diff list_threads",
    "reviewer": "get_change read_diff read_file list_threads submit_review",
    "author": "get_change list_threads reply_thread get_checks edit_change",
    "ci": "get_change get_checks read_diff read_file",
    "triage": "find_tasks save_task list_threads find_changes",
}


@pytest.fixture
async def server(work: Work, tmp_path: Path) -> AsyncGenerator[ServerProcess]:
    command = [str(SCRIPT), "--repo", str(work.folder), "--allow-writes", "--state", str(tmp_path / "state")]
    async with server_process(command) as process:
        await process.handshake()
        yield process


@pytest.fixture
async def tools(server: ServerProcess) -> list[Json]:
    return await server.list_tools()


def test_the_listing_keeps_the_contract_and_its_price(tools: list[Json]) -> None:
    """Eleven tools, described and bounded, for at most 2,600 tokens."""
    assert (len(tools), contract_problems(tools)) == (11, [])
    assert listing_tokens(tools) <= 2_600


@pytest.mark.parametrize("role", ROLES)
def test_the_tools_of_a_role_are_cheap(tools: list[Json], role: str) -> None:
    """What one agent sees for its task costs at most 1,200 tokens."""
    seen = [tool for tool in tools if str(tool["name"]) in ROLES[role].split()]

    assert len(seen) == len(ROLES[role].split())
    assert listing_tokens(seen) <= 1_200


async def test_the_process_answers_and_ends(server: ServerProcess) -> None:
    """Over stdio a change is found, and the end of the input ends the process cleanly."""
    result = await server.call("find_changes", state="open")
    status = await server.stop()

    assert "fix open by Ben in widgets" in str(result)
    assert status == 0
