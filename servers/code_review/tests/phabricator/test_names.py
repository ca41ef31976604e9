"""Names that are kept for a while."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from opsroom_code_review.providers.phabricator.cache import Cache
from opsroom_code_review.providers.phabricator.conduit import Conduit
from opsroom_code_review.providers.phabricator.names import Names
from opsroom_shared.errors import InvalidInput
from pydantic import SecretStr

from .conduit_server import TOKEN, ConduitServer, sockets
from .transcripts import transcript
from .world import ALICE, BACKEND, BOB, BOT, CAROL, WIDGETS


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def names(phorge: ConduitServer, clock: Clock) -> AsyncGenerator[Names]:
    conduit = Conduit("phorge", phorge.url, SecretStr(TOKEN), seconds=30, transport=sockets())
    yield Names(conduit, clock=clock)
    await conduit.aclose()


async def test_all_kinds_in_two_requests(names: Names, phorge: ConduitServer) -> None:
    """People in one request, for whether they are bots, and everything else in one more, side by side."""
    phorge.play("user.search.phids")

    known = await names.known([CAROL, BOT, BACKEND, WIDGETS, "PHID-TASK-lprxfwg7rokcxpyquzey", None, CAROL])

    assert {phid: (person.name, person.bot) for phid, person in known.people.items()} == {
        CAROL: ("carol", False),
        BOT: ("reviewbot", True),
    }
    assert [known.name(phid) for phid in (BACKEND, WIDGETS, "PHID-TASK-lprxfwg7rokcxpyquzey")] == ["backend", "widgets", "T1"]
    assert phorge.sent("user.search") == [transcript("user.search.phids").params]
    assert len(phorge.requests) == 2


async def test_names_are_asked_again_after_a_while(names: Names, phorge: ConduitServer, clock: Clock) -> None:
    """A person who was renamed keeps the old name for some minutes at most."""
    await names.known([ALICE, BACKEND])
    await names.known([ALICE, BACKEND])
    before = len(phorge.requests)
    clock.now += 601
    await names.known([ALICE, BACKEND])

    assert before == 2
    assert len(phorge.requests) == 4


async def test_what_is_hidden_is_not_asked_for_each_time(names: Names, phorge: ConduitServer) -> None:
    """That there is no name for it is kept, too."""
    for _ in range(2):
        known = await names.known(["PHID-USER-nobody00000000000000", "PHID-PROJ-nothing0000000000000"])
        person = known.person("PHID-USER-nobody00000000000000")
        assert person is not None
        assert person.name == "(hidden)"
        assert known.name("PHID-PROJ-nothing0000000000000") is None

    assert len(phorge.requests) == 2


async def test_many_names_are_asked_in_parts(names: Names, phorge: ConduitServer) -> None:
    """A page of the server holds a hundred, so no request asks for more."""
    await names.known([f"PHID-USER-{number:020d}" for number in range(250)])

    assert len(phorge.sent("user.search")) == 3


async def test_quirk_7_users_by_name_in_either_case(names: Names, phorge: ConduitServer) -> None:
    """Several names are one request, and known ones none."""
    first = await names.users(["alice", "@Bob"])
    second = await names.users(["BOB", "alice"])

    assert first == [ALICE, BOB]
    assert second == [BOB, ALICE]
    assert len(phorge.requests) == 1


async def test_quirk_7_tags_come_with_a_map(names: Names, phorge: ConduitServer) -> None:
    """project.search says which tag is whose; the request is the recorded one."""
    phorge.play("project.search.slug")

    found = await names.projects(["#backend"])

    assert [project.phid for project in found] == [BACKEND]
    assert phorge.requests[0].params == transcript("project.search.slug").params


async def test_a_milestone_has_no_tag_but_a_name(names: Names) -> None:
    """Release 1.0 is found by its name."""
    found = await names.projects(["Release 1.0"])

    assert [project.shown for project in found] == ["Release 1.0"]


async def test_quirk_7_bots_have_two_names(names: Names) -> None:
    """user.whoami calls them agent, user.search bot."""
    assert "agent" in str(transcript("user.whoami.bot").result)
    assert (await names.known([BOT])).people[BOT].bot is True


async def test_quirk_12_objects_by_monogram(names: Names, phorge: ConduitServer) -> None:
    """phid.lookup leaves out what it does not know."""
    assert list(await names.objects(["D1", "T1"])) == ["D1", "T1"]
    assert await names.objects([]) == {}
    assert len(phorge.requests) == 1
    assert "D99999" not in str(transcript("phid.lookup").result)


@pytest.mark.parametrize("name", ["", " ", "\x00", "a" * 251, "al\nice"])
async def test_what_cannot_be_a_name_is_not_sent(names: Names, phorge: ConduitServer, name: str) -> None:
    """Control characters and endless names reach no server."""
    with pytest.raises(InvalidInput):
        await names.users([name])

    assert phorge.requests == []


def test_the_cache_is_bounded(clock: Clock) -> None:
    """What was not used for longest goes first."""
    cache: Cache[int, str] = Cache(most=2, seconds=10, clock=clock)
    cache.put(1, "one")
    cache.put(2, "two")
    cache.get(1)
    cache.put(3, "three")

    assert [cache.get(key) for key in (1, 2, 3)] == ["one", None, "three"]
    assert len(cache) == 2
    clock.now += 10
    assert cache.get(1) is None
