"""How many queries run side by side."""

import asyncio

import pytest
from opsroom_databases.providers.places import Places
from opsroom_shared.errors import Unavailable


async def test_long_queries_make_room() -> None:
    """Queries that take long let others begin, up to as many again; then none is let in."""
    places = Places("shop", 2)

    taken = [await places.take(30) for _ in range(4)]

    with pytest.raises(Unavailable, match="4 queries are running on shop already"):
        await places.take(0.01)
    for place in taken:
        place.leave()


async def test_places_without_long_ones() -> None:
    """Where no place is for those that take long, none makes room however long it takes."""
    places = Places("shop", 1, long=0)
    place = await places.take(30)

    with pytest.raises(Unavailable, match="A query is running on shop already"):
        await places.take(0.3)
    place.leave()


@pytest.mark.parametrize("long", [0, 1, 2])
async def test_left_places_are_free(long: int) -> None:
    """When every query has ended, the quick ones and the long ones alike, as many as at first may run."""
    places = Places("shop", 1)
    first = [await places.take(30) for _ in range(long)]
    for place in first:
        place.leave()
    await asyncio.sleep(0)

    again = [await places.take(30) for _ in range(2)]

    with pytest.raises(Unavailable):
        await places.take(0.01)
    for place in again:
        place.leave()
