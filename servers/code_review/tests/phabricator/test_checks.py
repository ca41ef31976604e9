"""Builds of the diff that a revision is about."""

import pytest
from opsroom_code_review.models import Annotation
from opsroom_code_review.providers.phabricator import PhabricatorProvider
from opsroom_shared.errors import NotFound

from .conduit_server import ConduitServer
from .transcripts import Map, as_map, transcript
from .world import World


async def test_quirk_19_builds_tell_the_state(provider: PhabricatorProvider, world: World) -> None:
    """Seconds after the build failed its buildable still read `preparing`: the builds are asked."""
    world.buildables = transcript("harbormaster.buildable.search").data
    assert as_map(as_map(world.buildables[0]["fields"])["buildableStatus"])["value"] == "preparing"

    found = await provider.checks("D1", check=None, log_lines=80)

    assert found.state == "failed"
    assert [(check.id, check.name, check.state) for check in found.checks] == [("2", "arc lint + arc unit", "failed")]
    assert found.checks[0].url is not None
    assert found.checks[0].url.endswith("/harbormaster/build/2/")


async def test_one_check_with_its_targets(provider: PhabricatorProvider) -> None:
    """Which part of the build failed; the automatic targets write no log."""
    found = await provider.checks("D1", check="2", log_lines=80)

    assert found.checks[0].annotations == [
        Annotation(level="notice", text="Arcanist Unit Results: Passed"),
        Annotation(level="failure", text="Arcanist Lint Results: Failed"),
    ]
    assert found.checks[0].log_tail is None


async def test_the_end_of_a_log(provider: PhabricatorProvider, world: World) -> None:
    """Where a target wrote a log, its last lines are fetched."""
    world.logs = [_log(world, "widgets/store.py", 900)]

    found = await provider.checks("D1", check="2", log_lines=2)

    assert found.checks[0].log_tail == "            total += row[0]\n        return total"


async def test_a_log_that_is_too_large_is_not_fetched(provider: PhabricatorProvider, world: World, phorge: ConduitServer) -> None:
    """Its size is told instead."""
    world.logs = [_log(world, "widgets/store.py", 1 << 30)]

    found = await provider.checks("D1", check="2", log_lines=2)

    assert found.checks[0].log_tail == "(a log of 1,073,741,824 bytes, which is too large to fetch)"
    assert phorge.sent("file.download") == []


async def test_no_builds(provider: PhabricatorProvider) -> None:
    """Nothing was built for D2, which is no success."""
    found = await provider.checks("D2", check=None, log_lines=80)

    assert (found.state, found.checks) == ("unknown", [])
    assert found.hint == "Nothing was built for version 2."


async def test_an_unknown_check(provider: PhabricatorProvider) -> None:
    """The words list the checks that there are."""
    with pytest.raises(NotFound, match=r"There are: 2 \(arc lint \+ arc unit\)"):
        await provider.checks("D1", check="7", log_lines=80)


@pytest.mark.parametrize(
    ("states", "overall"),
    [
        (["passed", "passed"], "passed"),
        (["passed", "building"], "running"),
        (["building", "failed"], "failed"),
        (["passed", "pending"], "queued"),
        (["passed", "aborted"], "unknown"),
        (["deadlocked", "passed"], "failed"),
        (["error"], "failed"),
        (["x-restarting"], "unknown"),
    ],
)
async def test_states(provider: PhabricatorProvider, world: World, states: list[str], overall: str) -> None:
    """The worst counts; what was stopped, and words that are not known, say nothing."""
    like = world.builds[0]
    world.builds = [_build(like, number, state) for number, state in enumerate(states)]

    assert (await provider.checks("D1", check=None, log_lines=0)).state == overall


def _build(like: Map, number: int, state: str) -> Map:
    fields: Map = {**as_map(like["fields"]), "buildStatus": {"value": state}}
    return {**like, "id": number, "phid": f"PHID-HMBD-{number}", "fields": fields}


def _log(world: World, path: str, length: int) -> Map:
    """As harbormaster.log.search would list it: the recorded server had none."""
    fields: Map = {"buildTargetPHID": world.targets[0]["phid"], "byteLength": length, "filePHID": f"PHID-FILE-main@{path}"}
    return {"id": 1, "type": "HMBL", "phid": "PHID-HMBL-1", "fields": {**fields, "dateModified": 0}, "attachments": {}}
