"""One call to one rung: what is sent, what is kept, and how it ends when it is given up."""

import asyncio
from pathlib import Path

import pytest
from opsroom.models.client import Attempt, Clients, Usage
from opsroom.models.outcome import Outcome
from opsroom.models.request import ModelRequest, ToolSpec
from opsroom.settings import RungSettings
from opsroom.testing import Cue, MessageReply, Script, ScriptedAnthropic, Tokens, ToolCall

KEY = {"ANTHROPIC_API_KEY": "sk-ant-none"}
TOOL = ToolSpec("run_query", "Runs a query.", {"type": "object", "properties": {"sql": {"type": "string"}}})
REQUEST = ModelRequest("You are an agent.", [{"role": "user", "content": "hi"}], tools=(TOOL,))


def rung(url: str, **changes: str | float) -> RungSettings:
    return RungSettings.model_validate({"model": "claude-opus-5-5", "timeout": 20, "base_url": url} | changes)


def soon() -> float:
    return asyncio.get_running_loop().time() + 20


async def test_an_answer_comes_with_text_calls_and_cost() -> None:
    """A complete answer carries its blocks, its usage, and its times."""
    calls = (ToolCall(name="run_query", input={"sql": "select 'ü' as \"x\""}),)
    usage = Tokens(input_tokens=7, output_tokens=5, cache_read_input_tokens=3, cache_creation_input_tokens=2)

    with ScriptedAnthropic(MessageReply(text="Let me look.", calls=calls, usage=usage)) as server:
        async with Clients(KEY) as clients:
            attempt = await clients.call_rung(rung(server.url, prompt="minimal"), REQUEST, until=soon(), rung=2)

    assert attempt.outcome is Outcome.OK
    assert (attempt.rung, attempt.model, attempt.prompt) == (2, "claude-opus-5-5", "minimal")
    assert attempt.usage == Usage(input=7, output=5, cache_read=3, cache_write=2)
    assert attempt.message is not None
    text, call = attempt.message.content
    assert text.type == "text"
    assert text.text == "Let me look."
    assert call.type == "tool_use"
    assert call.input == {"sql": "select 'ü' as \"x\""}
    assert attempt.first_token_ms is not None
    assert attempt.first_token_ms <= attempt.ms


async def test_an_answer_can_be_handed_back_in_the_next_turn() -> None:
    """The content of an answer and the results of its calls make a request that the API takes."""
    asks = MessageReply(text="Looking.", calls=(ToolCall(name="run_query", input={"sql": "select 1"}),))
    script = Script(cues=(Cue(reply=asks, round=0), Cue(reply=MessageReply(text="The result: {{results}}"), round=1)))

    with ScriptedAnthropic(script) as server:
        async with Clients(KEY) as clients:
            first = await clients.call_rung(rung(server.url), REQUEST, until=soon())
            assert first.message is not None
            call = first.message.content[1]
            assert call.type == "tool_use"
            second = await clients.call_rung(
                rung(server.url),
                ModelRequest(
                    "You are an agent.",
                    [
                        {"role": "user", "content": "hi"},
                        {"role": "assistant", "content": first.message.content},
                        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "42 rows"}]},
                    ],
                    tools=(TOOL,),
                ),
                until=soon(),
            )

    assert second.message is not None
    assert [block.text for block in second.message.content if block.type == "text"] == ["The result: 42 rows"]


async def test_a_call_is_never_repeated_by_the_client() -> None:
    """A retry is the chain's decision, whatever the answer's headers wish."""
    with ScriptedAnthropic("overloaded") as server:
        async with Clients(KEY) as clients:
            await clients.call_rung(rung(server.url), REQUEST, until=soon())

    assert len(server.requests) == 1


async def test_no_call_is_made_when_the_time_is_up() -> None:
    """A deadline that has passed costs nothing."""
    with ScriptedAnthropic() as server:
        async with Clients(KEY) as clients:
            attempt = await clients.call_rung(rung(server.url), REQUEST, until=asyncio.get_running_loop().time())

    assert attempt.outcome is Outcome.TIMEOUT
    assert server.requests == ()


async def test_the_deadline_of_the_request_ends_a_call_before_the_limit_of_its_rung() -> None:
    """A rung with a minute of its own gets what is left of the request's time."""
    with ScriptedAnthropic("hang") as server:
        async with Clients(KEY) as clients:
            attempt = await clients.call_rung(
                rung(server.url, timeout=60), REQUEST, until=asyncio.get_running_loop().time() + 0.3
            )

    assert attempt.outcome is Outcome.TIMEOUT


async def test_a_rung_without_a_key_makes_no_call() -> None:
    """No key is an outcome, and the detail names the variable."""
    with ScriptedAnthropic() as server:
        async with Clients({}) as clients:
            attempt = await clients.call_rung(rung(server.url, api_key_env="MY_KEY"), REQUEST, until=soon())

    assert (attempt.outcome, attempt.detail) == (Outcome.AUTH, "no key: MY_KEY is not set to one")
    assert server.requests == ()


@pytest.mark.parametrize("environ", [{"ANTHROPIC_API_KEY": "k-1"}, {"ANTHROPIC_AUTH_TOKEN": "k-1"}])
async def test_the_key_of_the_environment_is_sent(environ: dict[str, str]) -> None:
    """Key and token both reach the endpoint as a bearer."""
    with ScriptedAnthropic() as server:
        async with Clients(environ) as clients:
            await clients.call_rung(rung(server.url), REQUEST, until=soon())

    assert server.requests[0].headers["authorization"] == "Bearer k-1"


async def test_a_profile_on_the_machine_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would pick up a login of another program; opsroom only takes the key that it is told to."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "default.json").write_text('{"base_url": "http://127.0.0.1:9", "api_key": "stolen"}')
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "default")

    with ScriptedAnthropic() as server:
        async with Clients(KEY) as clients:
            attempt = await clients.call_rung(rung(server.url), REQUEST, until=soon())

    assert attempt.outcome is Outcome.OK
    assert server.requests[0].headers["authorization"] == "Bearer sk-ant-none"


async def test_a_cancelled_call_is_accounted_and_the_cancellation_goes_on() -> None:
    """Whoever gives up a call half-way still learns what it has cost."""
    accounted: list[Attempt] = []

    with ScriptedAnthropic("hang_half_way") as server:
        async with Clients(KEY) as clients:
            calling = asyncio.create_task(
                clients.call_rung(rung(server.url), REQUEST, until=soon(), on_cancelled=accounted.append)
            )
            await asyncio.to_thread(server.wait_for_requests)
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling

    assert [attempt.outcome for attempt in accounted] == [Outcome.CANCELLED]
    assert accounted[0].message is None


async def test_a_request_that_cannot_be_written_is_our_own_fault() -> None:
    """A lone surrogate has no UTF-8; the call ends in an outcome that stops the chain."""
    request = ModelRequest("s", [{"role": "user", "content": "\ud800"}])

    with ScriptedAnthropic() as server:
        async with Clients(KEY) as clients:
            attempt = await clients.call_rung(rung(server.url), request, until=soon())

    assert attempt.outcome is Outcome.CLIENT_BUG
    assert server.requests == ()


async def test_an_address_that_is_none_is_a_transport_fault() -> None:
    """A mistake in one rung's address does not stop the others."""
    async with Clients(KEY) as clients:
        attempt = await clients.call_rung(rung("http://[broken"), REQUEST, until=soon())

    assert attempt.outcome is Outcome.TRANSPORT


async def test_closing_leaves_no_task_and_no_connection_behind() -> None:
    """After a call that was answered and one that was given up, the loop runs nothing but the test."""
    with ScriptedAnthropic(Script.of(MessageReply(text="hi"), "hang_half_way")) as server:
        async with Clients(KEY) as clients:
            answered = await clients.call_rung(rung(server.url), REQUEST, until=soon())
            given_up = await clients.call_rung(rung(server.url, timeout=0.3), REQUEST, until=soon())
        left = asyncio.all_tasks() - {asyncio.current_task()}

    assert (answered.outcome, given_up.outcome) == (Outcome.OK, Outcome.TIMEOUT)
    assert left == set()


async def test_calls_side_by_side_share_a_client() -> None:
    """Two agents may ask the same rung at once."""
    with ScriptedAnthropic() as server:
        async with Clients(KEY) as clients:
            attempts = await asyncio.gather(*(clients.call_rung(rung(server.url), REQUEST, until=soon()) for _ in range(8)))

    assert {attempt.outcome for attempt in attempts} == {Outcome.OK}
    assert len(server.requests) == 8
