"""Lists that come from several systems at once, in pages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from opsroom_shared.errors import InvalidInput, ToolFailure
from opsroom_shared.paging import Cursors
from pydantic import JsonValue

from .providers import Found, Page, Provider

T = TypeVar("T")


@dataclass
class Listed(Generic[T]):
    """One page of all of them."""

    items: list[tuple[Provider, T]] = field(default_factory=lambda: [])  # noqa: PIE807 - a bare list has no element type
    next_cursor: str | None = None
    problems: list[str] = field(default_factory=list[str])
    """One sentence for each system that did not answer."""


async def listed(
    providers: Sequence[Provider],
    ask: Callable[[Provider, Page], Awaitable[Found[T]]],
    *,
    cursors: Cursors,
    question: str,
    cursor: str | None,
    limit: int,
) -> Listed[T]:
    """A page of at most *limit* items, the same share from each system. Raises what went wrong where none of them answers."""
    positions = _positions(cursors, question, cursor, providers)
    asked = [provider for provider in providers if provider.name in positions]
    share = max(limit // max(len(asked), 1), 1)
    answers = await asyncio.gather(
        *(ask(provider, Page(share, positions[provider.name])) for provider in asked), return_exceptions=True
    )
    result, following = Listed[T](), dict[str, JsonValue]()
    failures: list[ToolFailure] = []
    for provider, answer in zip(asked, answers, strict=True):
        if isinstance(answer, ToolFailure):
            failures.append(answer)
            result.problems.append(f"{provider.name}: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            result.items += [(provider, item) for item in answer.items]
            if answer.position is not None:
                following[provider.name] = answer.position
    if failures and len(failures) == len(asked):
        raise failures[0]
    if following:
        result.next_cursor = cursors.encode(question, following)
    return result


def _positions(cursors: Cursors, question: str, cursor: str | None, providers: Sequence[Provider]) -> dict[str, JsonValue]:
    """Where each system is to go on. One that has come to its end is left out."""
    if cursor is None:
        return {provider.name: None for provider in providers}
    position = cursors.decode(question, cursor)
    if not isinstance(position, dict):
        raise InvalidInput("The cursor is not one of this tool's. Repeat the call without it.")
    return cast("dict[str, JsonValue]", position)
