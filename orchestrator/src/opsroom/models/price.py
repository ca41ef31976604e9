"""What a call cost, by the bundled price list; unknown is None and never 0."""

import asyncio
import importlib
from functools import lru_cache
from typing import TYPE_CHECKING

from .client import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider


def cost_usd(model: str, usage: Usage) -> float | None:
    """US dollars for *usage* of *model* today, or None when the list does not know it."""
    priced = _lookup(model)
    if priced is None:
        return None
    from genai_prices import Usage as Counted

    provider, info = priced
    counted = Counted(
        # the list counts cached tokens as a part of the input, the API beside it
        input_tokens=usage.input + usage.cache_read + usage.cache_write,
        output_tokens=usage.output,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
    )
    return float(info.calc_price(counted, provider).total_price)


async def load_prices() -> None:
    """Import the price list, which takes half a second, without stopping the event loop."""
    await asyncio.to_thread(importlib.import_module, "genai_prices.data_snapshot")


@lru_cache(maxsize=64)
def _lookup(model: str) -> "tuple[Provider, ModelInfo] | None":
    # up to half a second to import: the first priced call pays, not the start of a command
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model, None, "anthropic", None)
    except LookupError:
        return None
