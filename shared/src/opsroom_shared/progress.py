"""Telling the client that a call is still going."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastmcp import Context

T = TypeVar("T")

_AFTER_SECONDS = 1.5


async def with_progress(work: Awaitable[T], context: Context, doing: str) -> T:
    """Awaits *work*, and says once a second that it is still going when it takes long."""
    task = asyncio.ensure_future(work)
    try:
        waited, pause = 0.0, _AFTER_SECONDS
        while not (await asyncio.wait({task}, timeout=pause))[0]:
            waited, pause = waited + pause, 1.0
            await context.report_progress(waited, message=doing)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
