"""The tools on a forge: a Phorge on a real socket, which answers from transcripts."""

from pathlib import Path

from fastmcp import Client
from opsroom_code_review.models import ChangeDetails, Changes, Diff, ReviewResult
from opsroom_code_review.server import build
from opsroom_code_review.settings import CodeReviewSettings

from .answers import call, refused
from .phabricator.conduit_server import TOKEN, ConduitServer
from .phabricator.conftest import phorge, world

__all__ = ["phorge", "world"]  # fixtures


def settings(server: ConduitServer, state: Path, **more: object) -> CodeReviewSettings:
    work = {"kind": "phabricator", "url": server.url, "token": TOKEN, **more}
    return CodeReviewSettings.model_validate({"state": str(state), "allow_writes": True, "providers": {"work": work}})


async def test_a_review_of_many_files_asks_little(phorge: ConduitServer, tmp_path: Path) -> None:
    """Finding, describing and reading a change of 81 files takes 14 requests, and its other pages none."""
    async with Client(build(settings(phorge, tmp_path)).mcp) as client:
        await call(client, Changes, "find_changes")
        details = await call(client, ChangeDetails, "get_change", change="D8")
        first = await call(client, Diff, "read_diff", change="D8")
        asked = len(phorge.requests)
        await call(client, Diff, "read_diff", change="D8", cursor=first.next_cursor)

    assert len(details.files) == 81
    assert asked <= 14
    assert len(phorge.requests) == asked


async def test_places_are_checked_before_anything_is_sent(phorge: ConduitServer, tmp_path: Path) -> None:
    """Phorge takes any line number; here one outside of the diff comes back with the nearest line."""
    async with Client(build(settings(phorge, tmp_path)).mcp) as client:
        version = (await call(client, ChangeDetails, "get_change", change="D8")).change.version
        comments = [{"path": "widgets/gen/mod_001.py", "line": 9_999, "body": "x"}]
        result = await call(client, ReviewResult, "submit_review", change="D8", version=version, comments=comments)
        stale = await refused(client, "submit_review", change="D8", version="7", comments=comments)

    assert (result.submitted, result.comments[0].state, result.comments[0].nearest_line) == (False, "rejected", 40)
    assert (stale.code, "newest version is 8" in stale.words) == ("conflict", True)


async def test_the_allow_list_holds_where_a_reference_says_no_repository(phorge: ConduitServer, tmp_path: Path) -> None:
    """D8 does not say where it belongs, so that is asked before anything of it is shown."""
    async with Client(build(settings(phorge, tmp_path, repositories=["gadgets"])).mcp) as client:
        failures = [await refused(client, tool, change="D8") for tool in ("get_change", "read_diff", "list_threads")]

    assert {failure.code for failure in failures} == {"not_permitted"}
