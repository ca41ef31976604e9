"""Sending something once: a repeated call within a day answers what came of the first."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from opsroom_shared.errors import Conflict, TimedOut, ToolFailure, Unavailable
from opsroom_shared.outside import clean
from opsroom_shared.tools import Answer

from .journal import Journal
from .models import Thread

A = TypeVar("A", bound=Answer)

_A_DAY = 86_400.0
REPEATED = "The same was sent before, within a day: nothing was sent now."


async def once(
    journal: Journal,
    key: str,
    kind: type[A],
    send: Callable[[], Awaitable[A]],
    *,
    arrived: Callable[[], Awaitable[A | None]] | None = None,
) -> tuple[A, bool]:
    """What *send* answers, or answered when the same was sent before, and whether it was sent now.

    Of an earlier sending whose end nobody saw, *arrived* gives an answer if what it sent can be seen where it was sent to.
    """
    known = (await asyncio.to_thread(journal.look, [key])).get(key)
    if known is not None and known.state == "sent" and known.result and time.time() - known.at < _A_DAY:
        return kind.model_validate_json(known.result), False
    if known is not None and known.state == "unknown":
        if arrived is None:
            raise Conflict(
                "The same call was begun before, and cut off in the middle: whether it was done is not known. Look there first; "
                "to do it after all, change a word."
            )
        if (answer := await arrived()) is not None:
            await asyncio.to_thread(journal.finish, {key: answer.model_dump_json()})
            return answer, False
    await asyncio.to_thread(journal.claim, [key])
    try:
        answer = await send()
    except BaseException as error:
        await settle(journal, [key], error)
        raise
    await asyncio.to_thread(journal.finish, {key: answer.model_dump_json()})
    return answer, True


async def settle(journal: Journal, keys: list[str], error: BaseException) -> None:
    """Gives claimed *keys* back where *error* says that nothing was sent, and leaves them unfinished where nobody knows."""
    if isinstance(error, ToolFailure) and not is_unclear(error):
        await asyncio.to_thread(journal.release, keys)
    else:
        journal.abandon(keys)


def is_unclear(error: ToolFailure) -> bool:
    """Whether the system may have done what it was asked, and only its answer is missing."""
    return isinstance(error, TimedOut) or type(error) is Unavailable


def normalised(text: str) -> str:
    """*text* so that two that a reader would call the same are equal."""
    return " ".join(clean(text).split())


def is_said(threads: Sequence[Thread], text: str) -> bool:
    """Whether a comment says *text*."""
    wanted = normalised(text)
    return any(normalised(comment.text) == wanted for thread in threads for comment in thread.comments)
