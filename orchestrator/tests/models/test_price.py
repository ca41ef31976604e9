"""What a call costs by the bundled price list."""

import pytest
from opsroom.models.client import Usage
from opsroom.models.price import cost_usd


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        ("claude-opus-5-5", Usage(input=1_000, output=100), 0.004 + 0.002),
        ("claude-opus-5-5", Usage(input=500, output=100, cache_read=500), 0.002 + 0.0001 + 0.002),
        ("claude-opus-5-5", Usage(output=100, cache_write=1_000), 0.005 + 0.002),
        ("claude-sonnet-5-5", Usage(), 0.0),
        # the whole call is dearer past 100,000 tokens of input, cached ones included
        ("claude-haiku-5-5", Usage(input=100_000), 0.01),
        ("claude-haiku-5-5", Usage(input=50_000, cache_read=60_000), 0.025 + 0.003),
    ],
)
def test_a_known_model_has_its_price(model: str, usage: Usage, dollars: float) -> None:
    """Input, output, and the cache both ways are priced as the list says."""
    assert cost_usd(model, usage) == pytest.approx(dollars)


@pytest.mark.parametrize("model", ["llama-3-8b-local", "claude-atlantis-9", "claude-opus-5-55", "", "gpt-5"])
def test_an_unknown_model_has_no_price(model: str) -> None:
    """Unknown is None, and never taken for free."""
    assert cost_usd(model, Usage(input=1_000, output=1_000)) is None
